"""A process for test_kills.py: an experiment that draws, once undisturbed, and once killed again and again.

    python tests/support/killed_studies.py NAME FOLDER KILLS SIGNAL

Lives are forked after the imports, which take longer than they. FOLDER/whole and FOLDER/broken receive the results;
printed is, as JSON, what each kill left: how many lines of the journal, and whether those of before are the same.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch
from every_size import write_weights
from scripts import experiment, script

from gram_pyro.tasks.sudoku.generator import generate
from gram_pyro.tasks.sudoku.rules import Geometry

SMALL = ("device=cpu", "num_segments=2", "chunk=8", "halt_at=0.6")
JOURNALS = {"solve": "solve.jsonl"}
LEFT_OUT = ("ancestral_value", "halting_vote", "sir_by_value", "smc_by_rules")
OPTIONS = {
    "solve": ("num_particles=3", "most=6", "num_segments=2"),
    "evaluate": (*SMALL, "widths=[1,5]", "sampler=smc", "potential=value"),
    "scaling": ("device=cpu", "chunk=8", "depths=[1]", "widths=[1,3]", *(f"~strategies.{name}" for name in LEFT_OUT)),
    "search": ("device=cpu", "num_segments=2", "chunk=1", "halt_at=0.6", "at_once=2", "most=8"),  # of 8 rows a line
    "svi_sudoku": (
        "experiment=smoke",
        "model.num_transitions=1",
        "core.num_updates=1",
        "train={updates: 1, num_segments: 1}",
        "evaluate={widths: [1, 5], chunk: 1}",
        "baselines.deterministic=null",
    ),
}


def prepare(folder, num_puzzles):
    """Weights at random, and puzzles."""
    write_weights(folder / "weights.safetensors", 4)
    boards = generate(Geometry(4), num_puzzles, workers=1).x.tolist()
    (folder / "puzzles.txt").write_text("".join("".join(map(str, board)) + "\n" for board in boards))


def command(name, folder, run):
    puzzles, weights = folder / "puzzles.txt", folder / "weights.safetensors"
    given = [f"checkpoint={weights}", f"task.test={puzzles}"]
    if name == "solve":
        given = [f"puzzle=@{puzzles}", f"weights={weights}"]
    if name == "svi_sudoku":
        given = [f"task.cache={folder / 'cache'}"]
    return [name, *given, *OPTIONS[name], f"run_dir={folder / run}"]


def spawn(words):
    """A forked process that does all the work, if it is let.  Returns: its id."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        code = script(*words, check=False).returncode
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def lines(journal):
    """Those that are whole, without the first."""
    if not journal.exists():
        return []
    _, *found = journal.read_text().splitlines(keepends=True) or [""]
    return [line for line in found if line.endswith("\n")]


def life(words, journal, clock, number):
    """Kill it when it has done something more.  Returns: whether it lived to be killed."""
    child, begun, wanted = spawn(words), len(lines(journal)), clock.randint(1, 2)
    while len(lines(journal)) < begun + wanted:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    time.sleep(clock.uniform(0, 0.02))
    os.kill(child, number)
    return os.waitpid(child, 0)[1] != 0


def main(name, folder, kills, number):
    torch.set_num_threads(1)
    experiment(name)  # its imports
    prepare(folder, 10 + 4 * kills)
    child = spawn(command(name, folder, "whole"))
    expected = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    words, journal = command(name, folder, "broken"), folder / "broken" / JOURNALS.get(name, "draws.jsonl")
    clock, found, before = random.Random(0), [], []
    while len(found) < kills and life(words, journal, clock, number):
        after = lines(journal)
        found.append({"before": len(before), "after": len(after), "same": after[: len(before)] == before})
        before = after
    child = spawn(words)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps({"kills": found, "expected": expected, "ended": ended, "left": journal.exists()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), signal.Signals[sys.argv[4]])
