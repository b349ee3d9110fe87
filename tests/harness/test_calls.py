"""What a part is given by name it takes, or one sentence says that it does not; of the user and of a file."""

import json

import pytest
from every_size import write_weights
from killed import configuration
from omegaconf import OmegaConf

import gram_pyro
from gram_pyro.harness.calls import check_call
from gram_pyro.harness.check_config import check_settings
from gram_pyro.harness.checkpoint import read, write
from gram_pyro.harness.former import complete
from gram_pyro.harness.run_folder import read_config
from gram_pyro.harness.trusted import check

PRIOR = "gram_pyro.priors.gaussian.Gaussian"


@pytest.fixture(scope="module")
def plain():
    """The configuration of a run; not to be changed."""
    return configuration("x")


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("core.zzz", 1, "core.zzz, and Hierarchical takes no such argument; write one of dim, num_cells, rel"),
        ("core.mixer.zzz", 1, "core.mixer.zzz, and RelationalAttention takes no such argument; write one of dim"),
        ("guide._args_", [1], "guide._args_, and Concat takes no such argument; write one of model, dim"),
        ("task.hints", 3, "task.hints, and Sudoku takes no such argument; write one of n, box"),
        ("rollout_loss.share", 3, "rollout_loss.share, and Set takes no such argument; write rollout_loss with"),
        ("model.depth", 3, "model.depth, and GRAM takes no such argument; write one of embed, core"),
        ("train.lr", 0.1, "train.lr, and TrainSettings takes no such argument; write one of updates, num_segm"),
        ("baselines.deterministic.train.lr", 1, "baselines.deterministic.train.lr, and TrainSettings takes no such"),
        ("core._target_", PRIOR, f"core._target_={PRIOR}, a part for prior; expected one for core"),
        ("prior", {"_target_": PRIOR}, "got no prior.dim, and Gaussian needs it; write +prior.dim=..."),
        ("embed._target_", "gram_pyro.tasks.sudoku.task.Sudoku", ", a part for task; expected one for embed"),
    ],
)
def test_what_a_part_does_not_take_is_named(plain, place, value, sentence):
    config = plain.copy()
    check_settings(config)
    OmegaConf.update(config, place, value, merge=False, force_add=True)
    with pytest.raises(ValueError) as told:
        check_settings(config)
    assert sentence in str(told.value)


def test_a_part_that_hands_on_what_it_is_given_takes_anything():
    check_call("core", lambda dim, **rest: None, {"zzz": 1})
    check_call("core", max, {"zzz": 1})  # of which Python does not say what it takes


VALUES = (None, 5, "x", [], {}, ["a"], True, {"_target_": PRIOR}, {"zzz": 1})
KEYS = "embed core prior readout guide task model dim train baseline baselines evaluate objective rollout_loss".split()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "GRAM.safetensors"
    write_weights(path, 4)
    return path


@pytest.mark.parametrize("key", KEYS)
def test_a_file_that_describes_no_program_is_refused(weights, tmp_path, key):
    """Whatever stands in place of a key, or nothing: a sentence that names the file, or the same program."""
    tensors, description = read(weights)
    for value in VALUES:
        file = tmp_path / "GRAM.safetensors"
        write(file, tensors, description | {"config": description["config"] | {key: value}})
        try:
            gram_pyro.load(file)
        except ValueError as refusal:
            assert str(file) in str(refusal) and "\n" not in str(refusal)
        else:
            assert key in ("baselines", "evaluate", "objective", "baseline", "rollout_loss"), value  # never built


def test_a_run_folder_that_describes_no_program_is_refused(plain, tmp_path):
    file, held = tmp_path / "config.yaml", OmegaConf.to_container(plain, resolve=True)
    for key in ("embed", "core", "prior", "readout", "guide", "task", "model", "train"):
        for value in (5, None, {}, [1], {"covering": "x"}):
            file.write_text(json.dumps(held | {key: value}), encoding="utf-8")
            with pytest.raises(ValueError, match=f"^{file} is not as runs store it: .*{key}"):
                check(complete(read_config(file)), file)
