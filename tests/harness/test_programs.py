"""GRAM and its baselines: which programs a configuration asks for, what each changes, and what is no change."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scripts import CONF

from gram_pyro.harness.check_config import check_settings
from gram_pyro.harness.programs import changed, programs
from gram_pyro.harness.trial import check_programs

SCRIPTS = sorted(path.stem for path in CONF.glob("svi_*.yaml"))
NOISELESS = "gram_pyro.priors.noiseless.Noiseless"


def composed(script, *overrides):
    with initialize_config_dir(str(CONF), version_base=None):
        return compose(script, overrides=[*overrides, "run_dir=x", "task_name=t", "method_name=m"])


@pytest.mark.parametrize("script", ["svi_sudoku", "svi_images", "svi_generation"])
def test_without_baselines_a_run_is_of_gram(script):
    """The same by null for all, and by null for each of them."""
    config = composed(script)
    assert programs(config)["GRAM"] is config and config.baseline is None
    for name in list(config.baselines):
        config.baselines[name] = None
    assert list(programs(config)) == list(programs(composed(script, "baselines=null"))) == ["GRAM"]


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "svi_generation"])
def test_the_deterministic_recursion_is_gram_but_for_its_noise(script):
    config = composed(script)
    alone = OmegaConf.to_container(programs(config)["deterministic"], resolve=True)
    for key, value in OmegaConf.to_container(config, resolve=True).items():
        if key == "train":  # its rollouts of a puzzle are all the same; of images it is trained for less
            less = {"updates": 400, "num_segments": 12} if script == "svi_images" else {}
            value = value | {"rollouts_per_puzzle": 1} | less
        if key not in ("prior", "guide", "rollout_loss"):
            assert alone[key] == value, key
    assert alone["prior"] == {"_target_": NOISELESS}


def test_settings_are_merged_and_parts_are_replaced():
    config = composed("svi_images", "baselines.deterministic=null", "+baselines.mine.core={num_layers: 1}")
    mine, vae = (programs(config)[name] for name in ("mine", "vae"))
    assert mine.core == {**config.core, "num_layers": 1} and mine.baseline is None
    assert vae.train == {**config.train, "updates": 6000, "ema": 0.995} and vae.core == config.core
    assert vae.baseline._target_.endswith("VAE") and vae.baseline.num_layers == 3
    other = changed(config, {"prior": {"_target_": NOISELESS}}, "priors.noiseless")
    assert other.prior == {"_target_": NOISELESS} and config.prior != other.prior  # none of the keys of the former


def test_baselines_of_a_baseline_are_recursions_at_random_weights():
    config = composed("svi_sudoku", "baseline=d3pm", "start=sudoku_6x6", "+baselines.again.start=sudoku_4x4")
    gram, deterministic, again = programs(config).values()
    assert gram.baseline and deterministic.baseline is again.baseline is deterministic.start is None
    assert again.start == "sudoku_4x4"


def test_a_method_does_not_bring_back_what_was_left_out():
    for method in ("candidates", "exact_cover"):
        assert list(programs(composed("svi_sudoku", "experiment=table", f"method={method}"))) == ["GRAM"]
        both = programs(composed("svi_sudoku", f"method={method}"))
        assert both["GRAM"].train.rollouts_per_puzzle == 4 and both["deterministic"].train.rollouts_per_puzzle == 1
        assert both["deterministic"].rollout_loss._target_.endswith("Set")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("+baselines.mine={}", "^got baselines.mine=.*; write keys and their values, .* or null to leave it out$"),
        ("+baselines.mine=3", "^got baselines.mine=3; write keys"),
        ("baselines=3", "^got baselines=3; write keys and their values, {KEY: VALUE}, or null for none$"),
        ("+baselines.GRAM={seed: 1}", "^got baselines.GRAM; expected another name"),
        ("+baselines.mine={priro: 1}", "^got baselines.mine.priro; expected a key .*; did you mean prior[?]$"),
        ("+baselines.mine.train.updatess=3", "^got baselines.mine.train.updatess, and TrainSettings takes no such"),
        ("+baselines.mine.train.updates=-3", "^got baselines.mine.train.updates=-3; write a whole number"),
        ("+baselines.mine.seed=-1", "^of baselines.mine: got seed=-1; write a whole number, 0 or more$"),
        ("+baselines.mine={baseline: {num_layers: 3}}", "^of baselines.mine: got baseline=.*; write one of its"),
        ("baselines.deterministic.prior=5", "^of baselines.deterministic: got prior=5; write one of its choices"),
    ],
)
def test_what_is_no_baseline_is_one_sentence(override, sentence):
    config = composed("svi_sudoku", override)
    with pytest.raises(ValueError, match=sentence):
        check_settings(config)
        check_programs(config)
