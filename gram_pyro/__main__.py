"""The command `gram-pyro`, also `python -m gram_pyro`: the experiments of an installed package.

    gram-pyro evaluate sudoku_6x6 puzzles.csv num_segments=16
    python experiments/evaluate.py checkpoint=sudoku_6x6 task.test=puzzles.csv num_segments=16          is the same

Words are the values of required keys, in order; everything else is KEY=VALUE, as for the script. Your own classes are
found in the current folder.
Source: ours.
"""

import ast
import os
import re
import runpy
import sys
import textwrap
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, NoReturn

import gram_pyro
from gram_pyro.app.options import explained

COPY, CLONE = Path(__file__).parent / "experiments", Path(__file__).parents[1] / "experiments"
EXPERIMENTS = COPY if COPY.is_dir() else CLONE  # in a wheel a copy; in a clone a link, which Windows has as a text file
CONF = EXPERIMENTS / "conf"
OPTION = re.compile(r"([+~]|\+\+)?[\w.@/]+=.*|~[\w.@/]+|-m|--[a-z-]+(=.*)?", re.DOTALL)
TASKS = {path.stem.removeprefix("svi_"): path.stem for path in sorted(EXPERIMENTS.glob("svi_*.py"))}


class Command(NamedTuple):
    """words, as the usage names them; keys, of which they are values; script, with {} for the first word; says, the
    help text."""

    words: str
    keys: tuple[str, ...]
    script: str
    says: str


COMMANDS = {
    "solve": Command(
        "PUZZLE ... | FILE | -",
        ("puzzle",),
        "solve",
        "All solutions of a puzzle that trained weights find, how many agree on each, how sure the model is.\n"
        "A puzzle is a Sudoku, row by row with '.' for a blank; a board of queens, for every row the column of its\n"
        "queen, from 0, or '.'; or a graph to colour, as graph6 or as edges 1-2,2-3. A file is text, .csv, .jsonl,\n"
        ".g6, .col (DIMACS), .edges, or .yaml: a puzzle that states its rules; a folder is all of its files; '-' is\n"
        "the standard input.",
    ),
    "evaluate": Command(
        "WEIGHTS [FILE]",
        ("checkpoint", "task.test"),
        "evaluate",
        "How good trained weights are, on their own unseen puzzles or on those of a file.\n"
        "WEIGHTS is a shipped name, see gram-pyro models, or the .safetensors file of a run. FILE is .csv with the\n"
        "columns question and, if you have it, answer; .jsonl; text; for colouring .g6, .col (DIMACS) or .csv; for\n"
        "weights that take rules .yaml, or a folder.",
    ),
    "demo": Command("", (), "demo", "Serves a page on this machine: type a puzzle, watch the trajectories."),
    "train": Command(
        "TASK",
        (),
        "svi_{}",
        "Trains GRAM and what it is compared with, and tries its claim.\n"
        f"TASK is {', '.join(TASKS)}.\nOne of your own takes the place of another:\n"
        "    gram-pyro train sudoku task=own task._target_=my_task.Ring",
    ),
    "models": Command("[NAME]", ("name",), "models", "The weights that are shipped; of one, all that is known."),
}
SCRIPTS = [path.stem for path in sorted(EXPERIMENTS.glob("*.py")) if (CONF / f"{path.stem}.yaml").is_file()]
OTHERS = sorted({*SCRIPTS} - {command.script for command in COMMANDS.values()})


def usage() -> str:
    lines = [f"  {f'{name} {c.words}':28}{c.says.partition('.')[0]}." for name, c in COMMANDS.items()]
    more = textwrap.fill(f"Every experiment is a command too: {', '.join(OTHERS)}.", 110)
    end = "KEY=VALUE are options; gram-pyro COMMAND --help explains them. gram-pyro --version says which one this is."
    return "\n".join(["usage: gram-pyro COMMAND [WORD ...] [KEY=VALUE ...]", "", *lines, "", more, end])


def find(name: str) -> Command:
    """The command of that name.  Exits with one sentence and the nearest name if it is unknown."""
    if name in OTHERS:
        told = ast.get_docstring(ast.parse((EXPERIMENTS / f"{name}.py").read_text(encoding="utf-8")))
        return Command("", (), name, told.partition("\n\n")[0])
    if name not in COMMANDS:
        nearest = get_close_matches(name, [*COMMANDS, *OTHERS], n=1) or COMMANDS
        refuse(f"there is no command {name}; did you mean {' or '.join(nearest)}? See gram-pyro --help")
    return COMMANDS[name]


def help_of(name: str, words: list[str]) -> str:
    """The help of a command: what it does, and the options of its script."""
    command = find(name)
    head = " ".join(["usage: gram-pyro", name, *command.words.split(), "[KEY=VALUE ...]"])
    options = explained(CONF, command.script.format(*words, "sudoku"))
    return f"{head}\n\n{command.says}\n\noptions, with the values they have unless given:\n{options}"


def refuse(sentence: str) -> NoReturn:
    sys.exit(f"error: {sentence}")


def is_option(word: str) -> bool:
    """Whether a word is KEY=VALUE, ~KEY or a flag, and not the name of a file, as a=b.txt is."""
    return bool(OPTION.fullmatch(word)) and not os.path.isfile(word)


def translate(name: str, rest: list[str]) -> tuple[str, list[str]]:
    """The script that `gram-pyro NAME REST` runs, and its arguments.  Exits with one sentence on wrong words."""
    command = find(name)
    words = [word for word in rest if not is_option(word)]
    script = command.script
    if "{}" in script:
        if not words or words[0] not in TASKS:
            refuse(f"got {words[0] if words else 'no word'}; write gram-pyro {name} and one of {', '.join(TASKS)}")
        script = script.format(words.pop(0))
    if name == "solve" and words:
        words = [";".join(words)]
    if len(words) > len(command.keys):
        refuse(f"got {words[len(command.keys)]!r} too; write gram-pyro {name} {command.words} KEY=VALUE ...")
    given = [f"{key}={word}" for key, word in zip(command.keys, words, strict=False)]
    return script, [*given, *(word for word in rest if is_option(word))]


def main() -> None:
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        return print(usage())
    if name == "--version":
        return print(f"gram_pyro {gram_pyro.__version__}")
    if {"-h", "--help"} & set(rest):
        return print(help_of(name, [word for word in rest if word in TASKS]))
    script, sys.argv[1:] = translate(name, rest)
    sys.path.append(os.getcwd())
    runpy.run_path(str(EXPERIMENTS / f"{script}.py"), run_name="__main__")


if __name__ == "__main__":
    main()
