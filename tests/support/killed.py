"""A process for test_attacks.py: trains a tiny program once undisturbed, and once killed again and again.

    python tests/support/killed.py FOLDER KILLS

Lives are forked after the imports, which take longer than they. FOLDER/whole and FOLDER/broken receive the runs;
printed is, as JSON, what each kill left. The parent never runs a backward pass: forking is safe as long as nobody has.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import pyro
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from gram_pyro.harness import checkpoint, trial
from gram_pyro.harness.build import build_learner
from gram_pyro.harness.resume import claim_folder

CONF = Path(__file__).parents[2] / "experiments" / "conf"
CPU = torch.device("cpu")
OPTIONS = ["experiment=smoke", "model.num_transitions=1", "core.num_updates=1", "watch={every: 3, num_puzzles: 2}"]
OPTIONS += ["train={updates: 90, num_segments: 1, rollout_share: 0.5}", "task.num_test=2"]
OPTIONS += ["baselines.deterministic=null"]
OPTIONS += ["task_name=sudoku", "method_name=gram"]  # which only a started application knows


def configuration(folder):
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("svi_sudoku", overrides=[*OPTIONS, f"run_dir={folder}"])


def spawn(config, task):
    """A forked process that trains, to the end if it is let.  Returns: its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        trial.train("GRAM", config, task, claim_folder(config), CPU)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def lifetime(config, task):
    """Seconds of a process that nobody kills."""
    start = time.monotonic()
    assert os.waitpid(spawn(config, task), 0)[1] == 0
    return time.monotonic() - start


def longest_life(beginning, work):
    """M such that a life of uniform length up to M leaves `work` seconds after its beginning, in the mean:
    (M - beginning)^2 / 2 M = work."""
    return beginning + work + ((beginning + work) ** 2 - beginning**2) ** 0.5


def updates(folder):
    """Of the checkpoint in `folder`, which must be whole."""
    path = folder / "GRAM.safetensors"
    return checkpoint.read(path)[1]["updates"] if path.exists() else 0


def main(folder, kills):
    torch.set_num_threads(1)
    pyro.settings.set(module_local_params=True)
    pyro.enable_validation(False)
    whole, broken = (configuration(folder / name) for name in ("whole", "broken"))
    task = instantiate(whole.task)
    build_learner(whole, task, CPU), task.train, task.test  # what takes long the first time
    training, beginning = lifetime(whole, task), lifetime(whole, task)  # the second one finds all done
    clock, found = random.Random(0), []
    longest = longest_life(beginning, 0.6 * training / kills)
    while len(found) < kills:
        child = spawn(broken, task)
        time.sleep(clock.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        found.append({"killed": os.WIFSIGNALED(status), "updates": updates(folder / "broken")})
    assert os.waitpid(spawn(broken, task), 0)[1] == 0
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
