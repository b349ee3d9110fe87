"""results.json, written and read again; seeds pooled by experiments/verdict.py; what the baseline is tuned on."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from scripts import experiment, script

from gram_pyro.evaluation.metrics import Tally, join, report
from gram_pyro.evaluation.verdict import gains_of_means, scores
from gram_pyro.harness import tuned_noise
from gram_pyro.harness.results import read_programs, record, recorded, to_json, write_json
from gram_pyro.tasks.base import Puzzles

K = 20


def method(right, num_puzzles=400, num_solutions=8):
    """A Tally of answers right with probability `right`, drawn uniformly; pairs of puzzles are variants of one."""
    label = torch.randint(num_solutions, (K, num_puzzles))
    groups = torch.arange(num_puzzles) // 2
    return Tally((torch.rand(K, num_puzzles) >= right).long(), label, torch.full((num_puzzles,), num_solutions), groups)


def program(seed, parts, updates=8, **more):
    config = {"seed": seed, "method_name": "gram", "train": {"updates": updates}}
    per_puzzle = {name: record(part, K) for name, part in parts.items()}
    return {"config": config, "updates": updates, "tests": {}, "per_puzzle": per_puzzle} | more


def write(folder, seed, gram=0.99, noise=0.9, updates=8):
    programs = {"GRAM": program(seed, {"a": method(gram)}, updates)}
    if noise is not None:
        about = {"kind": "random starts", "deviation": 0.2}
        programs["deterministic, random starts"] = program(seed, {"a": method(noise)}, updates, baseline=about)
    folder.mkdir()
    (folder / "results.json").write_bytes(to_json({"programs": programs}))
    return folder


def test_results_are_strict_json_with_a_list_of_numbers_on_a_line():
    value = {"a": [1.5, math.nan, math.inf], "b": {3: None, "c": ["x", {"d": [1, 2]}]}, "e": "[ 1, 2 ]"}
    text = to_json(value).decode()
    read = json.loads(text, parse_constant=pytest.fail)
    assert read == {"a": [1.5, None, None], "b": {"3": None, "c": ["x", {"d": [1, 2]}]}, "e": "[ 1, 2 ]"}
    assert '"a": [ 1.5, null, null ]' in text and "[ 1, 2 ]" in text


def test_numbers_that_are_none_are_written_as_null_and_read_as_none(tmp_path):
    """As the coverage of one puzzle with too many solutions to count, and the error of its mean."""
    one = method(0.9, 1)._replace(num_solutions=torch.tensor([math.nan]), groups=None)
    table = report(one, [1, K]) | {"num_puzzles": 1}
    assert math.isnan(table["coverage"][K]) and math.isnan(table["coverage_se"][1])
    rest = {"parameters": {"model": 1}, "device": "cpu", "seconds": 1.0}
    whole = program(0, {"a": one}) | {"tests": {"a": table}} | rest
    whole["config"]["task_name"] = "graphs"
    write_json(tmp_path / "results.json", {"programs": {"GRAM": whole}})
    text = (tmp_path / "results.json").read_text()
    strict = json.loads(text, parse_constant=pytest.fail)["programs"]["GRAM"]
    assert strict["tests"]["a"]["coverage"]["20"] is None and math.isnan(recorded(strict).coverage[0])
    read = read_programs(tmp_path)["GRAM"]
    assert math.isnan(read["tests"]["a"]["coverage"]["20"]) and math.isnan(recorded(read).coverage[0])
    (row,) = experiment("table").read_run(tmp_path / "results.json", K)
    assert math.isnan(row["coverage"]) and row["any"] == 100 * table["any"][K]
    found = gains_of_means({"a": read["tests"]["a"]}, {"a": read["tests"]["a"]}, K)
    assert found["accuracy"].mean == 0 and "coverage" not in found


def test_scores_are_read_as_they_were_recorded():
    parts = {"a": method(0.9, 6), "b": method(0.5, 4)._replace(num_solutions=torch.full((4,), math.nan))}
    read = recorded(json.loads(to_json(program(0, parts))))
    expected = scores(join(list(parts.values())), K)
    assert read.width == K and torch.equal(read.groups, expected.groups)
    for name in ("accuracy", "coverage", "vote", "num_solutions"):
        known = getattr(expected, name).double()
        assert torch.allclose(getattr(read, name), known, atol=1e-6, equal_nan=True)
    assert recorded({"tests": {}}) is None


def test_three_seeds_make_a_claim(tmp_path):
    runs = [write(tmp_path / str(seed), seed) for seed in range(3)]
    output = script("verdict", f"runs=[{','.join(map(str, runs))}]").stdout
    assert output.startswith("VERDICT: SUPPORTED - in every seed GRAM beats the baseline")
    assert output.count(" speaks for it: ") == output.count("; over deterministic, random starts of deviation 0.2") == 3
    assert "NOT ENOUGH SEEDS" in script("verdict", f"runs=[{runs[0]},{runs[1]}]").stdout
    worse = [write(tmp_path / f"worse{seed}", seed, gram=0.8) for seed in range(3)]
    assert "VERDICT: FALSIFIED" in script("verdict", f"runs=[{','.join(map(str, worse))}]").stdout


def test_a_baseline_may_lie_in_results_of_its_own(tmp_path):
    runs = [write(tmp_path / str(seed), seed, noise=None) for seed in range(3)]
    output = script("verdict", f"runs=[{','.join(map(str, runs))}]").stdout
    assert output.startswith("VERDICT: NO BASELINE") and "without baselines.deterministic=null" in output
    apart = [write(tmp_path / f"trm{seed}", seed, gram=0.9, noise=None) for seed in range(3)]
    both = [f"{name}=[{','.join(map(str, folders))}]" for name, folders in (("runs", runs), ("baselines", apart))]
    assert "VERDICT: SUPPORTED" in script("verdict", *both).stdout


def test_runs_that_are_not_seeds_of_one_configuration_get_one_sentence(tmp_path):
    first, again, other = (write(tmp_path / n, s, updates=u) for n, s, u in (("a", 0, 8), ("b", 0, 8), ("c", 1, 9)))
    bare = write(tmp_path / "d", 1, noise=None)
    cases = {
        f"runs=[{first},{again}]": r"got seeds \[0, 0\]; expected each once",
        f"runs=[{first},{other}]": r"differ in train.updates, updates; expected seeds of one configuration",
        f"runs=[{first},{bare}]": r"got no baseline in .*d; expected one in every run",
        f"runs=[{first},{tmp_path}]": "cannot be read as results; write the folder of a finished run",
    }
    for override, sentence in cases.items():
        done = script("verdict", override, check=False)
        assert done.returncode != 0 and "Traceback" not in done.stderr
        with pytest.raises(ValueError, match=sentence):
            raise ValueError(done.stderr)
    with pytest.raises(ValueError, match="got 1 baselines of 2 runs; expected one of each"):
        experiment("verdict").read([first, again], [other], K)


def numbered(first, count):
    """Puzzles that can be told apart, with one solution each."""
    rows = [[n] for n in range(first, first + count)]
    return Puzzles.from_lists(rows, [[row] for row in rows])


@pytest.mark.parametrize(
    ("score", "tried"),
    [
        (lambda d: -abs(d - 0.3), [0.1, 0.3, 1.0]),
        (lambda d: -abs(d - 3.9), [0.1, 0.3, 1.0, 2.0, 4.0, 8.0]),
        (lambda d: d, [0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0]),
        (lambda d: 0.0, [0.1, 0.3, 1.0]),
        (lambda d: min(d, 1.5), [0.1, 0.3, 1.0, 2.0, 4.0]),
    ],
    ids=["inside", "beyond", "without end", "all alike", "as good from there on"],
)
def test_a_deviation_is_doubled_while_the_largest_is_best(score, tried):
    scores = tuned_noise.while_largest_is_best(score, [0.3, 0.1, 1.0])
    assert sorted(scores) == tried and all(found == score(d) for d, found in scores.items())


@pytest.mark.parametrize(("tested", "origin"), [(300, "unseen"), (440, "unseen"), (460, "train")])
def test_the_baseline_is_never_tuned_on_puzzles_of_the_test(tested, origin):
    task = SimpleNamespace(train=numbered(1000, 200), test={"a": numbered(0, 500), "b": numbered(500, 40)})
    puzzles, found = tuned_noise.tuning_puzzles(task, tested)
    tuned = set(puzzles.x[:, 0].tolist())
    judged = {n for part in task.test.values() for n in tuned_noise.subset(part, tested).x[:, 0].tolist()}
    assert found == origin and len(tuned) == tuned_noise.NUM_TUNING and not tuned & judged
    assert tuned_noise.tuning_puzzles(task, None)[1] == "train"


def test_the_score_of_tuning_by_hand():
    """Five answers each to a puzzle with one solution and to one with two."""
    solved = torch.tensor([[1, 1], [1, 1], [0, 1], [0, 0], [0, 0]])
    label = torch.tensor([[0, 1], [0, 2], [3, 2], [4, 5], [5, 6]])
    result = Tally(1 - solved, label, torch.tensor([1, 2]))
    assert tuned_noise.tuning_score(result) == pytest.approx((2 / 5 + 3 / 5) / 2 + 1 / (1 - 0.5**5))
