"""The command gram-pyro: words become the keys of a script, help explains every option, and a program is told."""

import io
import re
import subprocess
import sys
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from unittest.mock import patch

import pytest
import torch
from omegaconf import OmegaConf
from scripts import CONF, ROOT, as_a_new_process

from gram_pyro import __version__, load
from gram_pyro.app.options import settings
from gram_pyro.harness.load import released

COMMAND = import_module("gram_pyro.__main__")
PUZZLE = "1.3..4..2......1"


def call(*words):
    """`gram-pyro WORDS` in this process.  Returns: exit status, output, errors."""
    output, errors, code = io.StringIO(), io.StringIO(), 0
    with as_a_new_process(), redirect_stdout(output), redirect_stderr(errors), patch.object(sys, "path", [*sys.path]):
        with patch.object(sys, "argv", ["gram-pyro", *words]):
            try:
                COMMAND.main()
            except SystemExit as stopped:
                code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
                errors.write("" if isinstance(stopped.code, int | None) else str(stopped.code))
    return code, output.getvalue(), errors.getvalue()


@pytest.mark.parametrize(
    "words, script, arguments",
    [
        (["solve", PUZZLE], "solve", [f"puzzle={PUZZLE}"]),
        (["solve", PUZZLE, "seed=1", "2.1....."], "solve", [f"puzzle={PUZZLE};2.1.....", "seed=1"]),
        (["solve", "-"], "solve", ["puzzle=-"]),
        (["solve", "1 . |\n===+==="], "solve", ["puzzle=1 . |\n===+==="]),
        (["evaluate", "sudoku_6x6", "a b.csv", "widths=[1,2]"], "evaluate",
         ["checkpoint=sudoku_6x6", "task.test=a b.csv", "widths=[1,2]"]),
        (["demo", "port=0"], "demo", ["port=0"]),
        (["train", "nqueens", "~task", "+task.n=4", "-m"], "svi_nqueens", ["~task", "+task.n=4", "-m"]),
        (["compare_priors", "seeds=[0]", "++a=1", "--cfg=job"], "compare_priors", ["seeds=[0]", "++a=1", "--cfg=job"]),
        (["models", "sudoku"], "models", ["name=sudoku"]),
    ],
)  # fmt: skip
def test_words_are_the_keys_of_a_script(monkeypatch, words, script, arguments):
    called = []
    monkeypatch.setattr(COMMAND.runpy, "run_path", lambda path, run_name: called.append((path, sys.argv[1:])))
    assert call(*words) == (0, "", "")
    assert called == [(str(COMMAND.EXPERIMENTS / f"{script}.py"), arguments)]


def test_a_file_with_an_equals_sign_in_its_name_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert COMMAND.translate("solve", ["a=b.txt"]) == ("solve", ["a=b.txt"])
    (tmp_path / "a=b.txt").touch()
    assert COMMAND.translate("solve", ["a=b.txt", "most=4"]) == ("solve", ["puzzle=a=b.txt", "most=4"])
    assert COMMAND.translate("solve", ["puzzle=" + 5000 * "."]) == ("solve", ["puzzle=" + 5000 * "."])


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["sovle"], "error: there is no command sovle; did you mean solve? See gram-pyro --help"),
        (["compare_prior"], "did you mean compare_priors?"),
        (["train"], "error: got no word; write gram-pyro train and one of arc, colouring, constraints"),
        (["train", "chess"], "error: got chess; write gram-pyro train and one of"),
        (["evaluate", "a", "b", "c"], "error: got 'c' too; write gram-pyro evaluate WEIGHTS [FILE] KEY=VALUE"),
        (["demo", "now"], "error: got 'now' too"),
        (["models", "chess"], "error: no weights named 'chess' are shipped; write one of boards_6x6"),
        (["solve", PUZZLE, "num_particle=3"], "error: there is no key num_particle; did you mean num_particles"),
        (["evaluate", "chess"], "no weights named 'chess' are shipped"),
    ],
)
def test_a_mistake_gets_one_sentence(words, sentence):
    code, _, errors = call(*words)
    assert code == 1 and sentence in errors and "Traceback" not in errors


def test_a_puzzle_is_solved_in_a_process_of_its_own(tmp_path):
    """As a user calls it, from anywhere."""
    command = [sys.executable, "-m", "gram_pyro", "solve", PUZZLE, "num_particles=4"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert "1 distinct solution of 1, " in done.stdout and "| 1 2 | 3 4 |" in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_command_is_what_is_installed():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"gram-pyro": "gram_pyro.__main__:main"}
    assert COMMAND.EXPERIMENTS.resolve() == ROOT / "experiments"


def test_it_says_what_there_is():
    code, text, _ = call()
    assert code == 0 and (0, text, "") == call("--help") == call("-h")
    named = re.findall(r"^  ([a-z]+)", text, re.MULTILINE)
    assert named == ["solve", "evaluate", "demo", "train", "models"]
    for script in (path.stem for path in (ROOT / "experiments").glob("svi_*.py")):
        assert script in text and script.removeprefix("svi_") in COMMAND.TASKS
    assert call("--version") == (0, f"gram_pyro {__version__}\n", "")


def leaves(node, place=""):
    for key, below in node.items():
        if isinstance(below, dict) and below:
            yield from leaves(below, f"{place}{key}.")
        else:
            yield f"{place}{key}"


@pytest.mark.parametrize("name", ["solve", "evaluate", "svi"])
def test_every_option_is_explained(name):
    config = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    wanted = {key for key in leaves({k: v for k, v in config.items() if k not in ("hydra", "defaults", "baselines")})}
    explained = {option.partition("=")[0] for option, words in settings(CONF, name) if len(words) > 3}
    assert wanted <= explained | {"task_name"}


def test_help_has_options_choices_and_an_example():
    code, text, _ = call("train", "--help")
    assert code == 0 and text.startswith("usage: gram-pyro train TASK [KEY=VALUE ...]\n\nTrains GRAM")
    lines = text.splitlines()
    assert "  train.updates=4000      steps of the optimiser" in lines
    assert any(line.startswith("  prior=gaussian          one of annealed, categorical, denoising,") for line in lines)
    assert "experiment=null         one of arc/paper" in text and max(map(len, lines)) <= 120
    assert "Compare priors: same model" in call("compare_priors", "-h")[1]
    assert "  task=sudoku  " in call("compare_priors", "-h")[1]  # of the configuration it is made of


def test_models_are_listed_with_what_they_are_for():
    _, text, _ = call("models")
    assert [line.split()[0] for line in text.splitlines()[1 : 1 + len(released())]] == released()
    assert "sudoku              9x9 Sudoku, and every other size" in text
    assert "Trained at commit" in call("models", "sudoku_4x4")[1]


def test_a_program_is_told(single_precision):
    _, program = load("sudoku_4x4")
    head, *lines = str(program).splitlines()
    total = sum(p.numel() for module in program for p in module.parameters())
    assert head == f"a program of {total:,} parameters"
    parts, sites = lines[:6], lines[7:]
    assert [line.split()[0] for line in parts] == [
        "model.embed", "model.core", "model.prior", "model.readout", "guide", "heads"
    ]  # fmt: skip
    assert sum(int(line.split()[-1].replace(",", "")) for line in parts) == total
    assert [line.split("  ")[1] for line in sites] == ["u_0 .. u_1", "z_0 .. z_1", "h, l", "y"]
    dim = program.model.start(torch.zeros(1, 16, dtype=torch.int64)).h.shape[-1]
    assert all(f"[B, L, {dim}]" in line for line in sites[:3]) and "prior Gaussian, guide Concat" in sites[1]
