"""Rungs of a ladder: each differs from its parent in the keys that it names, and in no other."""

import re

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scripts import ROOT

CONF = ROOT / "experiments" / "conf"
RUNGS = sorted(path.stem for path in (CONF / "rung").glob("*.yaml"))
NAMED = re.compile(r"# Parent: (\w+)\. Changes: ([\w., ]+)\.\n")


def composed(rung):
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_sudoku", overrides=[f"rung={rung}", "run_dir=x", "task_name=x", "method_name=x"])
    return flat(OmegaConf.to_container(config))


def flat(config, place=""):
    if not isinstance(config, dict):
        return {place: config}
    found = {}
    for key, value in config.items():
        found |= flat(value, f"{place}.{key}" if place else key)
    return found


@pytest.mark.parametrize("rung", RUNGS)
def test_a_rung_says_what_it_expects(rung):
    text = (CONF / "rung" / f"{rung}.yaml").read_text()
    assert "# Hypothesis: " in text and "# Result: " in text


@pytest.mark.parametrize("rung", [rung for rung in RUNGS if NAMED.search((CONF / "rung" / f"{rung}.yaml").read_text())])
def test_a_rung_differs_from_its_parent_in_the_named_keys(rung):
    parent, changes = NAMED.search((CONF / "rung" / f"{rung}.yaml").read_text()).groups()
    here, there = composed(rung), composed(parent)
    differ = {key for key in here.keys() | there.keys() if here.get(key) != there.get(key)}
    named = set(changes.split(", "))
    assert {next((name for name in named if key == name or key.startswith(f"{name}.")), key) for key in differ} == named


def test_there_is_one_foot():
    assert [r for r in RUNGS if not NAMED.search((CONF / "rung" / f"{r}.yaml").read_text())] == ["extreme"]
