"""Experiments as a user runs them, with `experiment=smoke`."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors.torch import load_file
from scripts import CONF, ROOT, experiment, script

from gram_pyro.evaluation.evaluate import roll_out, selected
from gram_pyro.harness.build import build_sampler, build_task
from gram_pyro.harness.load import load_program, stored_config
from gram_pyro.tasks.sudoku.task import Sudoku

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "smoke"
    command = [sys.executable, "experiments/svi_sudoku.py", "experiment=smoke", f"run_dir={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_run_leaves_tables_figures_checkpoints_and_a_verdict(smoke_run):
    folder, output = smoke_run
    figures = "training.png width_minimal.png width_several.png"
    for name in f"config.yaml results.csv results.json results.md {figures}".split():
        assert (folder / name).stat().st_size > 0
    summary = json.loads((folder / "results.json").read_text())
    _, _, baseline, drawn = summary["programs"]
    assert baseline in ("deterministic, random starts", "deterministic, fixed noise")
    assert drawn == "deterministic, cell marginals"
    for program in summary["programs"].values():
        assert (
            program["updates"] == 8
            and program["seconds"] > 0
            and program["parameters"]["model"] > 0
            and program["commit"]
            and program["precision"] in ("bf16", "fp32")
        )
        assert set(program["tests"]["several"]["coverage"]) == {"1", "2"}
    header = (folder / "GRAM.csv").read_text().splitlines()[0]
    assert header == "updates,seconds,loss,kl_0,kl_1,set_loss,heads_loss,prior_accuracy"


def test_what_a_run_says_fits_on_a_screen(smoke_run):
    """One table, a verdict of two lines, where everything is; what was printed before is in the folder."""
    folder, output = smoke_run
    *training, head, rest = output.strip().partition("\n\n")
    table, verdict, place = rest.split("\n\n")
    programs = json.loads((folder / "results.json").read_text())["programs"]
    assert training[0].count("\n") <= 3 and len(table.splitlines()) == 1 + 2 * len(programs)
    word, seed = verdict.splitlines()
    assert word.startswith("VERDICT: NOT ENOUGH SEEDS - ") and re.fullmatch(r"  seed 0 .+ of deviation [\d.]+", seed)
    assert place.count("\n") == 0 and str(folder) in place and len(output.splitlines()) < 24
    right = programs["GRAM"]["tests"]["several"]["accuracy"]["2"]
    (line,) = (line for line in table.splitlines() if line.startswith("GRAM") and " several (" in line)
    assert f" {100 * right:.2f} ± " in line
    whole = (folder / "results.md").read_text()
    assert whole.count("| K | ") == 2 * len(programs) and whole.count("beside it, over ") == 2 and verdict in whole


def test_the_deterministic_baseline_gives_one_answer_however_wide(smoke_run):
    tests = json.loads((smoke_run[0] / "results.json").read_text())["programs"]["deterministic"]["tests"]
    for table in tests.values():
        assert table["entropy"]["2"] == 0 and table["distinct"]["2"] == table["accuracy"]["1"]


def test_the_verdict_is_about_the_noise_that_suits_the_recursion_best(smoke_run):
    summary = json.loads((smoke_run[0] / "results.json").read_text(), parse_constant=pytest.fail)
    gram, plain, noisy, drawn = summary["programs"]
    verdict, about = summary["verdict"], summary["programs"][noisy]["baseline"]
    tests = {name: program["tests"] for name, program in summary["programs"].items()}
    sizes = {test: table["num_puzzles"] for test, table in tests[gram].items()}
    assert list(verdict["beside"]) == [plain, drawn]
    for other, found in ((noisy, verdict["seeds"][0]["gains"]), *verdict["beside"].items()):
        gains = {test: tests[gram][test]["accuracy"]["2"] - tests[other][test]["accuracy"]["2"] for test in sizes}
        mean = sum(sizes[test] * gains[test] for test in sizes) / sum(sizes.values())
        assert found["accuracy"]["mean"] == pytest.approx(mean)
    assert verdict["word"] == "NOT ENOUGH SEEDS" and "to_train_a_baseline" not in verdict
    assert len(about["tuning"]) == 10 and {row["puzzles"] for row in about["tuning"]} == {"train"}
    assert len(summary["programs"][gram]["per_puzzle"]["several"]["coverage"]) == sizes["several"]


def test_a_finished_run_is_not_trained_again(smoke_run):
    folder, _ = smoke_run
    before = (folder / "GRAM.csv").read_text()
    script("svi_sudoku", "experiment=smoke", f"run_dir={folder}")
    assert (folder / "GRAM.csv").read_text() == before


def test_a_run_folder_refuses_another_configuration(smoke_run):
    done = script("svi_sudoku", "experiment=smoke", f"run_dir={smoke_run[0]}", "train.beta=0.5", check=False)
    assert done.returncode != 0 and "another configuration" in done.stderr and "Traceback" not in done.stderr


def test_an_interrupted_run_continues_to_the_same_weights(tmp_path):
    long = ("experiment=smoke", "train.updates=60", "watch.every=6", "baselines.deterministic=null")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    script("svi_sudoku", *long, f"run_dir={whole}")
    command = [sys.executable, "experiments/svi_sudoku.py", *long, f"run_dir={broken}"]
    running = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (broken / "GRAM.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGTERM)
    _, error = running.communicate(timeout=120)
    assert running.returncode != 0 and "nothing is lost" in error and f"resume={broken}" in error
    refused = script("svi_sudoku", "train.beta=0.5", f"resume={broken}", check=False)
    assert refused.returncode != 0 and "got train.beta=0.5 with resume=" in refused.stderr
    script("svi_sudoku", f"resume={broken}")
    first, second = load_file(whole / "GRAM.safetensors"), load_file(broken / "GRAM.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_benchmark_measures_its_parts(tmp_path):
    """The script itself stops if the loss through Pyro and the loss by hand differ."""
    few = ("warmup=0", "repeats=1", "step={warmup:0,repeats:1}", "precision=null")
    parts = (
        "weights=sudoku_4x4",
        "sampling={num_puzzles:2,depths:[1,2],widths:[1,3],halt_at:0.9}",
        "smc={num_puzzles:2,width:3,depth:2}",
        "memory={num_segments:[1,2],batch_sizes:[4,8],dims:[8,16],widths:[1,2]}",
        "products={dim:16,lengths:[4],batch:2,size:32,warmup:0,repeats:1}",
        "stages={warmup:0,repeats:1}",
        "by_size={weights:sudoku,sizes:[4,6],tokens:64,size:32,warmup:0,repeats:1}",
    )
    done = script("benchmark", "experiment=smoke", *few, *parts, f"run_dir={tmp_path}")
    result = json.loads((tmp_path / "benchmark.json").read_text())
    groups = {}
    for row in result["rows"]:
        groups.setdefault(row["group"], []).append(row)
        assert row["value"] > 0 and row["ratio"] > 0
    ways = {group: [row["way"] for row in rows] for group, rows in groups.items()}
    assert ways["training step"] == ["by hand", "Pyro"] and ways["guide"] == ["one pass", "two passes"]
    assert ways["SMC"] == ["ancestral", "sir", "smc"] and len(ways["sampling"]) == 8 and len(groups) == 14
    of_boards = [f"{board}, {way}" for board in ("4x4", "6x6") for way in ("forward", "with its gradient")]
    assert ways["core by size of board"] == ["products", *of_boards] and ways["cost of a token"] == of_boards
    assert {"all stages", "core", "backward", "optimiser"} < set(ways["a trajectory, uncompiled"])
    assert all(rows[0]["ratio"] == 1 for rows in groups.values())
    assert (tmp_path / "benchmark.png").stat().st_size > 0 and "| training step | by hand |" in done.stdout


def test_evaluate_prints_one_json_object_last(smoke_run, tmp_path):
    boards = Sudoku(n=4, num_train=4, num_test=4, max_solutions=12, cache=None).test["several"]
    file = tmp_path / "boards.jsonl"
    as_text = lambda row: "".join(map(str, row.tolist()))  # noqa: E731
    rows = [
        {"question": as_text(boards.x[i]), "solutions": [as_text(y) for y in boards.solutions_of(i)]}
        for i in range(boards.num_puzzles)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = [
        f"checkpoint={smoke_run[0] / 'GRAM.safetensors'}",
        f"task.test={file}",
        "num_segments=2",
        "widths=[1,3]",
        "device=cpu",
        "sampler=hot_start",
        f"run_dir={tmp_path}",
    ]
    last = script("evaluate", *arguments).stdout.strip().splitlines()[-1]
    table = json.loads(last)
    assert table["num_puzzles"] == boards.num_puzzles and table["seconds"] > 0
    for metric in ("accuracy", "any", "vote", "coverage", "coverage_pooled", "distinct", "entropy"):
        assert set(table[metric]) == {"1", "3"}
    program = json.loads((tmp_path / "results.json").read_text())["programs"]["GRAM"]  # what table.py reads
    assert program["config"]["method_name"] == "gram, hot_start" and program["updates"] == 8
    assert program["tests"]["boards.jsonl"]["coverage"]["3"] == pytest.approx(table["coverage"]["3"])
    assert (tmp_path / "results.csv").is_file() and (tmp_path / "width_boards.jsonl.png").is_file()


def test_evaluate_finds_the_other_solutions_of_a_puzzle_with_one_answer(smoke_run, tmp_path):
    (tmp_path / "mine.csv").write_text("question,answer\n..3....2....4..3,1234341223414123\n")
    arguments = (f"checkpoint={smoke_run[0] / 'GRAM.safetensors'}", f"task.test={tmp_path / 'mine.csv'}")
    said = script("evaluate", *arguments, "widths=[1]", "num_segments=1", f"run_dir={tmp_path / 'run'}").stdout
    (row,) = csv.DictReader((tmp_path / "run" / "puzzles_mine.csv.csv").read_text().splitlines())
    assert row["solutions"] == "4" and "nan" not in said.lower()


def test_every_sampler_and_selection_is_a_choice_of_evaluate(smoke_run):
    """All on one command line each would take a minute; composed, each is built and run here."""
    torch.set_default_dtype(torch.float32)
    try:
        path = smoke_run[0] / "GRAM.safetensors"
        task = build_task(stored_config(path), OmegaConf.create({}))
        model, _, heads = load_program(path, task)
        puzzles = task.test["several"]
        with initialize_config_dir(str(CONF), version_base=None):
            for group, name in [(g, f.stem) for g in ("sampler", "select") for f in (CONF / g).glob("[!o]*.yaml")]:
                for potential in ("value", "halt", "violation") if name in ("smc", "sir") else ("value",):
                    config = compose(
                        "evaluate", overrides=["checkpoint=x", f"{group}={name}", f"potential={potential}"]
                    )
                    sampler, select = build_sampler(config.sampler, task, heads), instantiate(config.select)
                    trajectories, _ = roll_out(
                        partial(sampler, model, heads=heads, halt_at=0.5), puzzles, 3, 2, 0, torch.device("cpu")
                    )
                    confidence, right, row = selected(task, puzzles, trajectories, select)
                    assert trajectories.answers.shape == (3, *puzzles.x.shape)
                    assert confidence.shape == right.shape == (puzzles.num_puzzles,) and 0 <= row["answered"] <= 1
    finally:
        torch.set_default_dtype(torch.float64)


@pytest.mark.parametrize(
    ("name", "options", "files"),
    [
        ("scaling", ("depths=[1,2]", "widths=[1,4]"), ("scaling.json", "scaling.csv", "accuracy.png", "coverage.png")),
        ("calibration", ("num_particles=3",), ("calibration.json", "calibration.csv", "selected.png")),
        ("predictors", ("num_particles=3", "num_views=1"), ("predictors.json", "predictors.csv", "predictors.png")),
        ("evidence", ("num_particles=30", "widths=[1,10]", "num_puzzles=3"), ("evidence.json", "evidence.csv")),
    ],
)
def test_inference_experiments_leave_a_table_and_figures(smoke_run, tmp_path, name, options, files):
    script(name, f"checkpoint={smoke_run[0] / 'GRAM.safetensors'}", *options, f"run_dir={tmp_path}", "device=cpu")
    for file in files:
        assert (tmp_path / file).stat().st_size > 0
    json.loads((tmp_path / files[0]).read_text(), parse_constant=pytest.fail)  # strict JSON: no NaN


def test_predictors_of_several_seeds_are_means_over_seeds(smoke_run, tmp_path):
    small = (f"checkpoint={smoke_run[0] / 'GRAM.safetensors'}", "num_particles=3", "num_views=1", "device=cpu")
    made = {
        "test": "minimal", "solutions": 1.0, "valid": 0.2, "predictor": "vote", "auroc": 0.9, "auroc_se": 0.1,
        "within": None, "within_se": None, "mixed_puzzles": 0,
    }  # fmt: skip
    for name, auroc in (("a", 0.9), ("b", 0.6)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "predictors.json").write_text(json.dumps({"rows": [made | {"auroc": auroc}]}))
    others = f"beside=[{tmp_path / 'a'},{tmp_path / 'b'}]"
    script("predictors", *small, others, f"run_dir={tmp_path / 'c'}")
    own, seeds = (json.loads((tmp_path / "c" / f"{name}.json").read_text())["rows"] for name in ("predictors", "seeds"))
    (vote,) = [row for row in seeds if (row["test"], row["predictor"]) == ("minimal", "vote")]
    (mine,) = [row for row in own if (row["test"], row["predictor"]) == ("minimal", "vote")]
    assert vote["seeds"] == 3 and vote["within"] is None
    assert vote["valid"] == pytest.approx((mine["valid"] + 0.4) / 3)
    if mine["auroc"] is None:
        assert vote["auroc"] is None
    else:
        assert vote["auroc"] == pytest.approx((mine["auroc"] + 1.5) / 3)
    assert (tmp_path / "c" / "seeds.png").stat().st_size > 0
    failed = script("predictors", *small, "beside=[nowhere]", f"run_dir={tmp_path / 'd'}", check=False)
    assert "there is no nowhere/predictors.json; write beside=[...]" in failed.stderr


def check_search(folder, names, at_once, most):
    """What experiments/search.py left is one account of the same puzzles."""
    for name in names:
        summary = json.loads((folder / f"{name}_search.json").read_text())
        with (folder / f"{name}_puzzles.csv").open(newline="") as file:
            puzzles = list(csv.DictReader(file))
        assert summary["num_puzzles"] == len(puzzles) and (folder / f"{name}_search.png").stat().st_size > 0
        last = summary["rows"][-1]
        assert last["limit"] <= most
        assert last["solved"] == pytest.approx(sum(p["solved"] == "True" for p in puzzles) / len(puzzles))
        assert last["trajectories"] == pytest.approx(sum(int(p["tries"]) for p in puzzles) / len(puzzles))
        whole = [min(most, -(-int(p["tries"]) // at_once) * at_once) for p in puzzles]
        assert summary["drawn"] == pytest.approx(sum(whole) / len(puzzles))
        assert all((p["answer"] != "") == (p["solved"] == "True") for p in puzzles)


def test_a_search_leaves_an_account(smoke_run, tmp_path):
    checkpoint = f"checkpoint={smoke_run[0] / 'GRAM.safetensors'}"
    options = ("at_once=2", "most=5", "num_segments=2", f"run_dir={tmp_path}", "device=cpu")
    done = script("search", checkpoint, *options)
    assert "| limit | solved | trajectories |" in done.stdout
    check_search(tmp_path, ("minimal", "several"), at_once=2, most=5)


def test_scaling_counts_what_halting_saves(smoke_run, tmp_path):
    checkpoint = f"checkpoint={smoke_run[0] / 'GRAM.safetensors'}"
    options = ("depths=[3]", "widths=[2]", "halt_at=1e-6", f"run_dir={tmp_path}", "device=cpu")
    script("scaling", checkpoint, *options)
    rows = {row["strategy"]: row for row in json.loads((tmp_path / "scaling.json").read_text())["rows"]}
    assert rows["ancestral_vote"]["transitions"] == 3 * 2 * 2  # N segments x T transitions x K
    assert rows["halting_vote"]["transitions"] == 1 * 2 * 2


@pytest.mark.parametrize(
    ("row", "sentence"),
    [("1234" * 3, "16"), ("12341234123412?4", "?"), ("11" + "." * 14, "row 1"), ("1234341221434.12", "")],
)
def test_evaluate_names_the_row_of_a_bad_puzzle(smoke_run, tmp_path, row, sentence):
    file = tmp_path / "bad.csv"
    file.write_text("question\n" + "1234341221434321\n" + row + "\n")
    checkpoint = f"checkpoint={smoke_run[0] / 'GRAM.safetensors'}"
    done = script("evaluate", checkpoint, f"task.test={file}", f"run_dir={tmp_path}", check=False)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "bad.csv" in done.stderr and sentence in done.stderr


@pytest.mark.parametrize(
    ("name", "overrides", "sentence"),
    [
        ("evaluate", ("checkpoint=nqueens_8", "task.test=a.csv"), "got task.test, and NQueens takes no such argument"),
        ("svi_sudoku", ("experiment=smoke", "dimm=3"), "dimm"),
        ("svi_sudoku", ("experiment=smoke", "train.rollout_share=1.5"), "rollout_share=1.5"),
        ("svi_sudoku", ("experiment=smoke", "train.rollout_share=0.05"), "batch_size=8, which rounds to 0"),
        ("svi_sudoku", ("experiment=smoke", "model.num_grad_steps=3"), "num_grad_steps=3"),
        ("svi_sudoku", ("experiment=smoke", "+task.train=missing.csv", "+task.test=missing.csv"), "missing.csv"),
        ("svi_sudoku", ("experiment=smoke", "dim=15"), "dim=15"),
        ("svi_sudoku", ("resume=nowhere",), "there is no run in nowhere"),
        ("evaluate", ("checkpoint=nowhere.safetensors",), "nowhere.safetensors"),
        ("evaluate", ("checkpoint=README.md",), "README.md"),
        ("scaling", ("checkpoint=nowhere.safetensors",), "nowhere.safetensors"),
    ],
)
def test_bad_input_gets_one_sentence(tmp_path, name, overrides, sentence):
    done = script(name, *overrides, f"run_dir={tmp_path}", check=False)
    assert done.returncode != 0 and sentence in done.stderr and "Traceback" not in done.stderr


def test_frontier_solve_and_release(smoke_run, tmp_path):
    checkpoint = f"checkpoint={smoke_run[0] / 'GRAM.safetensors'}"
    options = ("num_particles=2", "num_segments=2", "temperatures=[1,2]", f"run_dir={tmp_path}", "device=cpu")
    script("frontier", checkpoint, *options)
    rows = json.loads((tmp_path / "frontier.json").read_text())["rows"]
    assert {(r["puzzles"], r["num_hot"], r["temperature"]) for r in rows} == {
        (name, *point) for name in ("minimal", "several") for point in ((1, 1), (1, 2), (2, 2))
    }
    assert (tmp_path / "frontier.png").stat().st_size > 0
    script("release", checkpoint, "name=tiny", f"folder={tmp_path}")
    assert "8 updates" in (tmp_path / "tiny.md").read_text() and "minimal" in (tmp_path / "tiny.md").read_text()
    done = script("solve", "puzzle=1234341221434321", f"weights={tmp_path / 'tiny.safetensors'}", check=False)
    assert "Traceback" not in done.stderr and "distinct solution" in done.stdout
    assert done.returncode == (0 if "0 distinct" not in done.stdout else 1)


def test_what_is_released_names_no_folder_of_the_machine(tmp_path):
    train = ["data/a.csv", str(tmp_path / "b.csv")]
    config = {"start": str(tmp_path / "GRAM.safetensors"), "task": {"train": train, "n": 9}}
    expected = {"start": "GRAM.safetensors", "task": {"train": ["data/a.csv", "b.csv"], "n": 9}}
    assert experiment("release").without_folders(config) == expected


def test_a_baseline_is_not_taken_for_a_gram(tmp_path):
    small = ("experiment=smoke", "method=masked_diffusion", "baselines.deterministic=null", f"run_dir={tmp_path}")
    told = script("svi_sudoku", *small).stdout
    assert "VERDICT: NO BASELINE" in told
    command = "gram-pyro svi_sudoku experiment=smoke method=masked_diffusion"
    assert f"{command} 'baselines.deterministic={{prior:" in told
    checkpoint = f"checkpoint={tmp_path / 'GRAM.safetensors'}"
    done = script("evaluate", checkpoint, "device=cpu", f"run_dir={tmp_path}", check=False)
    assert done.returncode != 0 and "which has no trajectories" in done.stderr and "Traceback" not in done.stderr
