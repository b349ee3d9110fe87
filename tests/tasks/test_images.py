"""Images: files, masks, and the experiment from end to end."""

import csv
import json
import lzma
from types import SimpleNamespace

import numpy as np
import pyro
import pytest
import torch
from hydra import compose, initialize_config_dir
from image_files import COLUMNS, ROWS, L, write_idx, write_images
from scripts import CONF, experiment, work

from gram_pyro.plots.images import score_figure
from gram_pyro.tasks.base import draw_batch
from gram_pyro.tasks.images import BLACK, UNKNOWN, WHITE, Images, read_images, read_labels


@pytest.fixture
def files(tmp_path):
    return write_images(tmp_path)


# ---------------------------------------------------------------------------------------------- the task


def test_images_are_read_bit_by_bit(files):
    arguments, bits = files
    task = Images(**arguments)
    assert (task.train.solutions.numpy() - BLACK == bits["train"]).all()
    assert (task.train.x == UNKNOWN).all() and task.train.x.shape == (40, L)
    assert task.train_labels.tolist() == [0, 1] * 20
    assert set(task.test) == {"generation", "inpainting"}
    for puzzles in task.test.values():
        assert (puzzles.solutions.numpy() - BLACK == bits["test"]).all()
        assert puzzles.num_solutions.tolist() == [1] * 10
        assert task.is_solved(puzzles.x, puzzles.solutions).all()
    x = task.test["inpainting"].x.view(-1, ROWS, COLUMNS)
    assert (x[:, : ROWS // 2] != UNKNOWN).all() and (x[:, ROWS // 2 :] == UNKNOWN).all()
    assert (task.test["generation"].x == UNKNOWN).all()


def test_an_answer_keeps_what_is_known_and_leaves_no_pixel_open(files):
    task = Images(**files[0])
    puzzles = task.test["inpainting"]
    y = puzzles.solutions[0]
    flipped = y.clone()
    flipped[0], flipped[-1] = BLACK + WHITE - y[0], BLACK + WHITE - y[-1]  # one known pixel, one unknown
    open_one = y.index_fill(0, torch.tensor([L - 1]), UNKNOWN)
    answers = torch.stack([y, flipped, open_one])
    assert task.violations(puzzles.x[0], answers).tolist() == [0, 1, 1]
    assert task.is_solved(puzzles.x[0], answers).tolist() == [True, False, False]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_training_shows_one_half_of_a_share_of_the_images(files, share):
    task = Images(**files[0], known_share=share)
    generator = torch.Generator().manual_seed(0)
    batch = task.augment(draw_batch(task.train, torch.arange(40).repeat(50), generator), generator)
    known = (batch.x != UNKNOWN).view(-1, ROWS, COLUMNS)
    assert (batch.x == batch.y)[known.flatten(1)].all()
    half = torch.zeros(4, ROWS, COLUMNS, dtype=torch.bool)
    half[0, : ROWS // 2], half[1, ROWS // 2 :] = True, True
    half[2, :, : COLUMNS // 2], half[3, :, COLUMNS // 2 :] = True, True
    counts = torch.stack([(known == side).flatten(1).all(1).sum() for side in half])
    shown = known.flatten(1).any(1).sum()
    assert counts.sum() == shown
    assert abs(shown - 2000 * share) < 4 * (2000 * share * (1 - share)) ** 0.5 + 1e-9
    assert ((counts - shown / 4).abs() <= 4 * (shown * 3 / 16) ** 0.5).all()
    assert torch.equal(batch.y, task.train.solutions.repeat(50, 1))
    assert torch.equal(batch.solutions[:, 0], batch.y) and batch.valid.all()


def test_files_that_are_not_what_they_should_be(files, tmp_path):
    arguments = files[0]
    with pytest.raises(ValueError, match="got 120 bytes in .*train.xz; expected 7 for every image of 56 pixels"):
        read_images(arguments["train"], 56)
    with pytest.raises(ValueError, match="train.xz begins with .* write 00 00 08 01, IDX of bytes"):
        read_labels(arguments["train"])
    with pytest.raises(ValueError, match="got 40 images in .* and 10 labels"):
        Images(**arguments | {"train_labels": arguments["test_labels"]})
    with pytest.raises(FileNotFoundError, match="none.xz is not there"):
        Images(**arguments | {"test": "none.xz"})
    (tmp_path / "cut.xz").write_bytes((tmp_path / "train.xz").read_bytes()[:-20])
    with pytest.raises(ValueError, match="cut.xz is damaged"):
        read_images(tmp_path / "cut.xz", L)
    with pytest.raises(ValueError, match="got .*known_share=1.5; expected"):
        Images(**arguments, known_share=1.5)


def test_public_idx_files_of_images_are_read(tmp_path):
    """Of other sizes, or cut, they are not taken for packed bits of another number of images."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, L), dtype=np.uint8)
    pixels[0, :2] = 127, 128
    head = b"".join(number.to_bytes(4, "big") for number in (0x803, 5, ROWS, COLUMNS))
    (tmp_path / "images-idx3-ubyte").write_bytes(head + pixels.tobytes())
    expected = [[WHITE if value >= 128 else BLACK for value in image] for image in pixels.tolist()]
    assert read_images(tmp_path / "images-idx3-ubyte", L).tolist() == expected
    (tmp_path / "cut").write_bytes(head + pixels.tobytes()[:-1])
    for name, size in (("cut", L), ("images-idx3-ubyte", L + 1)):
        with pytest.raises(ValueError, match=f"declares 5 images of 4 x 6 pixels and holds .* images of {size} pixels"):
            read_images(tmp_path / name, size)


# ---------------------------------------------------------------------------------------------- the experiment

SMALL = (
    "task_name=images", "method_name=gram", "device=cpu", "compile=false", "dim=16", "core.hidden=8",
    "core.mixer.hidden=8", "embed.patch=2", "embed.channels=4", "embed.groups=2", "train.num_segments=2",
    "train.batch_size=4", "train.updates=4", "baselines.deterministic.train.updates=4",
    "baselines.deterministic.train.num_segments=2", "baselines.vae.train.updates=2",
    "baselines.d3pm.train.updates=4",
    "watch.every=2", "watch.num_puzzles=4",
    "baselines.vae.baseline.num_layers=1", "baselines.d3pm.baseline.num_layers=1",
    "baselines.d3pm.baseline.num_steps=2",
    "evaluate.num_images=20", "evaluate.depths=[1,3]", "evaluate.num_inpainted=4", "evaluate.inpainting_depth=2",
    "evaluate.evidence={num_images:4,num_particles:3}", "evaluate.chunk=16",
)  # fmt: skip


@pytest.fixture
def config(files, tmp_path):
    arguments, _ = files
    overrides = [f"task.{name}={value}" for name, value in arguments.items()]
    overrides += [f"run_dir={tmp_path / 'run'}", f"evaluate.classifier_cache={tmp_path / 'kept'}"]
    with (tmp_path / "test.xz").open("rb") as file:  # as many test images as are scored and kept as reference
        bits = lzma.decompress(file.read())
    with lzma.open(tmp_path / "test.xz", "wb") as file:
        file.write(bits * 4)
    write_idx(tmp_path / "test.gz", [0, 1] * 20)
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("svi_images", [*SMALL, *overrides])


def test_the_experiment_from_end_to_end(config, tmp_path):
    torch.set_default_dtype(torch.float32)
    try:
        with pyro.settings.context(module_local_params=True), pyro.validation_enabled(False):
            work("svi_images")(config)
    finally:
        torch.set_default_dtype(torch.float64)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    programs = results["programs"]
    assert {name: each["updates"] for name, each in programs.items()} == {
        "GRAM": 4,
        "deterministic": 4,
        "vae": 2,
        "d3pm": 4,
    }
    for name in ("GRAM", "vae"):
        found = programs[name]["evidence"]
        assert found["negative_iwae"] <= found["negative_elbo"]
    exact = programs["deterministic"]["evidence"]  # one trajectory, no latents: the bound is the likelihood
    assert exact["negative_iwae"] == pytest.approx(exact["negative_elbo"], rel=1e-5)
    assert set(programs["d3pm"]["evidence"]) == {"negative_elbo", "negative_elbo_se"}
    with (tmp_path / "run" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    named = [(row["program"], row["depth"]) for row in rows]
    depths = [(name, depth) for name in ("GRAM", "deterministic") for depth in ("1", "3")]
    assert named == [("real images", ""), *depths, ("vae", ""), ("d3pm", "")]
    collapsed = [float(row["class_score"]) for row in rows if row["program"] == "deterministic"]
    assert collapsed == pytest.approx([1.0, 1.0], abs=1e-6)  # all its images are one
    for picture in ("depth", "generation", "inpainting", "training"):
        assert (tmp_path / "run" / f"{picture}.png").stat().st_size > 5000


def test_more_images_than_there_are_cannot_be_completed(config, local_params):
    config.evaluate.num_inpainted = 41
    with pytest.raises(ValueError, match="got evaluate.num_inpainted=41; expected at most the 40 test images"):
        work("svi_images")(config)


def test_the_reference_is_of_both_sources_of_the_test_images():
    """The halves share nothing, leave nothing out, and have as many of the first images as of the last."""
    reference, others = experiment("svi_images").random_halves(10_001)
    assert torch.cat([reference, others]).sort().values.equal(torch.arange(10_001))
    assert (len(reference), len(others)) == (5000, 5001)
    assert abs((reference < 5000).double().mean() - 0.5) < 4 * 0.5 / 10_001**0.5
    assert abs((others[:2000] < 5000).double().mean() - 0.5) < 4 * 0.5 / 2000**0.5


def test_answers_by_depth_are_those_of_one_trajectory():
    """A counting recursion: what is read at a depth is that depth, row by row, also where rows are run once."""
    by_depth = experiment("svi_images").by_depth

    class Counting:
        is_deterministic = False
        readout = property(lambda self: self)
        prior = SimpleNamespace(num_steps=None)
        rows = 0

        def reason(self, x, state):
            self.rows += len(x)
            return x if state is None else state + 1

        def answer(self, state, x):
            return state + 1

    x = torch.tensor([[5], [7], [5], [9]])
    for deterministic, rows in ((False, 12), (True, 9)):
        model = Counting()
        model.is_deterministic = deterministic
        found = by_depth(model, x, [1, 3], 3, "test")
        assert torch.equal(found[1], x + 1) and torch.equal(found[3], x + 3) and model.rows == rows


def test_trajectories_that_end_are_run_anew_for_every_depth():
    """A prior that ends tells after how many transitions; it does so at the depth, and afterwards as before."""

    class Ending:
        is_deterministic, num_transitions, prior = False, 2, SimpleNamespace(num_steps=50)
        readout = property(lambda self: self)

        def reason(self, x, state):
            return x if state is None else state + 1

        def answer(self, state, x):
            return torch.stack([state[:, 0] - x[:, 0] + 1, torch.full((len(x),), self.prior.num_steps)], 1)

    model, x = Ending(), torch.tensor([[5], [7], [9]])
    found = experiment("svi_images").by_depth(model, x, [1, 3], 2, "test")
    assert found[1].tolist() == [[1, 2]] * 3 and found[3].tolist() == [[3, 6]] * 3
    assert model.prior.num_steps == 50


def test_scores_of_many_programs_are_drawn():
    """Real images, and more programs with and without depth than there were styles of each."""
    score = {"class_score": 2.0, "class_score_se": 0.1, "frechet": 20.0, "frechet_se": 1.0}
    names = {"real images": [None]} | {f"deep {i}": [1, 2] for i in range(3)} | {f"flat {i}": [None] for i in range(4)}
    rows = [{"program": name, "depth": depth} | score for name, depths in names.items() for depth in depths]
    figure = score_figure(rows)
    assert {text.get_text() for text in figure.axes[1].get_legend().get_texts()} == set(names)
