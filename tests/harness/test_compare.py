"""Comparisons: what is measured, the table, runs that are not run again, and what is said on misuse."""

import csv
import json
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from hydra import compose, initialize_config_dir
from scripts import ROOT, script
from tiny import D, batch, close, program, shake

from gram_pyro.harness import compare, trial
from gram_pyro.priors.base import Prior
from guides.concat import Concat
from guides.delayed import Delayed

TINY = (
    "experiment=smoke",
    "train.updates=2",
    "train.num_segments=1",
    "evaluate.num_segments=1",
    "measure.num_puzzles=3",
    "measure.num_particles=2",
    "measure.evidence_puzzles=2",
    "measure.num_weights=25",
    "measure.iwae_width=5",
)


class NotANumber(Prior):
    """A prior that training cannot survive."""

    def forward(self, u, t):
        return dist.Normal(u * torch.nan, 1.0).to_event(2)


@pytest.fixture
def laboratory(local_params):
    torch.set_default_dtype(torch.float32)
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base=None), pyro.validation_enabled(False):
        yield
    torch.set_default_dtype(torch.float64)


def tiny_config(group, folder, *overrides):
    names = ("task_name=sudoku", "method_name=gram", f"run_dir={folder}")
    return compose(f"compare_{group}s", overrides=[*TINY, *names, *overrides])


def test_priors_side_by_side(laboratory, tmp_path, capsys, monkeypatch):
    overrides = ("priors=[noiseless,student_t,categorical]", "seeds=[0,1]")
    compare.run(tiny_config("prior", tmp_path, *overrides), "prior")
    assert "| student_t | 2 |" in capsys.readouterr().out and (tmp_path / "comparison.png").stat().st_size > 0
    summary = json.loads((tmp_path / "comparison.json").read_text(), parse_constant=pytest.fail)  # strict: no NaN
    assert [(r["entry"], r["seed"]) for r in summary["runs"]] == [
        (e, s) for e in ("noiseless", "student_t", "categorical") for s in (0, 1)
    ]
    with (tmp_path / "comparison.csv").open() as file:
        lines = {line["entry"]: line for line in csv.DictReader(file)}
    for name, line in lines.items():
        elbos = [r["elbo"] for r in summary["runs"] if r["entry"] == name]
        assert math.isclose(float(line["elbo"]), sum(elbos) / 2)
        assert math.isclose(float(line["elbo_se"]), abs(elbos[0] - elbos[1]) / 2, rel_tol=1e-6)
        assert float(line["iwae_gap"]) >= 0 and 0 < float(line["ess"]) <= 1 and 0 <= float(line["calibration"]) <= 1
        assert int(float(line["parameters"])) > 0 and float(line["minutes"]) > 0 and float(line["kl_1"]) >= -1
    assert float(lines["noiseless"]["kl"]) == 0 and lines["noiseless"]["pareto_k"] == ""
    config = (tmp_path / "noiseless" / "seed1" / "config.yaml").read_text()
    assert "guides.bootstrap.Bootstrap" in config and "seed: 1" in config
    assert "guides.categorical.Categorical" in (tmp_path / "categorical" / "seed0" / "config.yaml").read_text()
    assert "guides.residual.Residual" in (tmp_path / "student_t" / "seed0" / "config.yaml").read_text()

    # What is finished is read, not run; one more seed runs alone.
    file = tmp_path / "student_t" / "seed0" / "measured.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"elbo": -123.0}))
    trained, train = [], trial.train

    def counted(name, config, *rest):
        trained.append((name, config.seed))
        return train(name, config, *rest)

    monkeypatch.setattr(trial, "train", counted)
    compare.run(tiny_config("prior", tmp_path, "priors=[student_t]", "seeds=[0,2]"), "prior")
    runs = json.loads((tmp_path / "comparison.json").read_text())["runs"]
    assert trained == [("student_t", 2)] and runs[0]["elbo"] == -123.0

    with pytest.raises(ValueError, match="holds a run with another configuration"):
        compare.run(tiny_config("prior", tmp_path, "priors=[student_t]", "train.updates=3"), "prior")


@pytest.mark.filterwarnings("ignore:Encountered NaN")
def test_a_run_that_does_not_end_is_named_and_left_out(laboratory, tmp_path):
    own = ("+own.broken._target_=test_compare.NotANumber", "seeds=[0]", "guide=bootstrap")
    compare.run(tiny_config("prior", tmp_path, "priors=[standard]", *own), "prior")
    summary = json.loads((tmp_path / "comparison.json").read_text())
    assert [r["entry"] for r in summary["runs"]] == ["standard"]
    assert "at update 0" in summary["failed"]["broken, seed 0"]
    with pytest.raises(ValueError, match="no run finished: .*broken, seed 0"):
        compare.run(tiny_config("prior", tmp_path / "b", "priors=[]", *own), "prior")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("guides=[concat,nonsense]",), r"got guides=nonsense; .*bootstrap, .*\+own.nonsense._target_="),
        (("guides=[]",), r"got nothing to compare; write guides=\[...\] and seeds"),
        (("seeds=[]",), r"got nothing to compare"),
        (
            ("guides=[concat]", "seeds=[0]", "measure.puzzles=hard"),
            "got measure.puzzles=hard; expected a test set.*minimal, several",
        ),
    ],
)
def test_misuse(laboratory, tmp_path, overrides, message):
    with pytest.raises(ValueError, match=message):
        compare.run(tiny_config("guide", tmp_path, *overrides), "guide")


def test_guides_of_the_package_and_of_ones_own_from_the_command_line(tmp_path, monkeypatch):
    text = "from guides.concat import Concat\n\n\nclass Mine(Concat):\n    pass\n"
    (tmp_path / "guide_to_compare.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    own = ("+own.mine._target_=guide_to_compare.Mine", "+own.mine.dim=${dim}", "+own.mine.hidden=8")
    done = script("compare_guides", *TINY, *own, "guides=[delayed]", "seeds=[0]", f"run_dir={tmp_path / 'run'}")
    assert (
        "| delayed | 1 |" in done.stdout and "| mine | 1 |" in done.stdout and "a perfect model's ELBO" in done.stdout
    )
    rows = {r["entry"]: r for r in json.loads((tmp_path / "run" / "comparison.json").read_text())["runs"]}
    assert rows["mine"]["kl"] > 0 and rows["delayed"]["kl"] == 0  # one segment: all of it is the prior's


def test_mean_kl_is_over_segments_and_transitions():
    model, _ = program(num_transitions=2)
    guide = shake(Delayed(model, lambda m: Concat(m, D, 6), 2))
    x, y = batch()
    torch.manual_seed(1)
    found = compare.mean_kl(guide, x, y, 3)
    torch.manual_seed(1)
    state = None
    for _ in range(2):  # the prior's segments, of KL zero
        state = model(x, y, state)
    guide(x, y, state, 2)
    close(found, guide.kl() / 3)


def test_summary_of_several_seeds():
    rows = [
        {"entry": "b", "seed": 0, "device": "cpu", "elbo": -1.0, "pareto_k": None, "kl_0": 1.0},
        {"entry": "a", "seed": 0, "device": "cpu", "elbo": -2.0, "pareto_k": 0.4, "kl_0": 2.0},
        {"entry": "b", "seed": 1, "device": "cpu", "elbo": -4.0, "pareto_k": 0.2, "kl_0": 4.0},
        {"entry": "b", "seed": 2, "device": "cpu", "elbo": -1.0, "pareto_k": 0.6, "kl_0": 1.0},
    ]
    first, second = compare.summarise(rows)
    assert (first["entry"], first["seeds"], second["entry"], second["seeds"]) == ("b", 3, "a", 1)
    assert first["elbo"] == -2.0 and math.isclose(first["elbo_se"], 1.0)  # deviation sqrt(3) over sqrt(3)
    assert math.isclose(first["pareto_k"], 0.4) and math.isclose(first["pareto_k_se"], 0.2)
    assert second["elbo"] == -2.0 and second["elbo_se"] is None
    assert "seed" not in first and "device" not in first
