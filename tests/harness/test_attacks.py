"""What ends a run before its time: kill -9, full disks, numbers that are not finite, a second process, no place."""

import csv
import errno
import fcntl
import json
import logging
import os
import resource
import signal
import subprocess
import sys

import pyro
import pytest
import torch
from hydra.utils import instantiate
from killed import CPU, configuration
from omegaconf import OmegaConf
from safetensors.torch import load_file
from scripts import ROOT
from tiny import L, batch, program
from torch.utils._python_dispatch import TorchDispatchMode

from gram_pyro.harness import checkpoint, run_folder, trial
from gram_pyro.harness.build import build_learner
from gram_pyro.harness.command import plain_errors
from gram_pyro.harness.fit import fit
from gram_pyro.harness.interrupt import stop_on_signal
from gram_pyro.harness.resume import claim_folder
from gram_pyro.inference.sampler import sample
from gram_pyro.storage.atomic import write_atomically

KILLS = 20


def test_a_run_killed_again_and_again_ends_in_the_same_bits(tmp_path):
    """Each life continues from the last checkpoint, whole, of a life before: weights, averages, moments, random states
    and what the table says are those of the run that nobody disturbed."""
    command = [sys.executable, ROOT / "tests" / "support" / "killed.py", tmp_path, str(KILLS)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == KILLS and all(kill["killed"] for kill in found)
    reached = [kill["updates"] for kill in found]
    assert reached == sorted(reached) and 0 < reached[-1] < 90 and len(set(reached)) > 3, reached
    assert differing(*(load_file(tmp_path / name / "GRAM.safetensors") for name in ("whole", "broken"))) == []
    assert table(tmp_path / "whole") == table(tmp_path / "broken") and len(table(tmp_path / "whole")) == 30
    assert not list(tmp_path.rglob("*.part"))


def differing(one, other):
    """Names of what two checkpoints hold differently."""
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


def table(folder):
    """The rows of a metrics table but for the seconds they took."""
    with (folder / "GRAM.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def task():
    return instantiate(configuration("x").task)


@pytest.fixture
def trained(tmp_path, local_params, task):
    """train(name, updates, attack): a run in a folder of that name, resumed if it is there; attack(learner, number of
    the trajectory) comes before each of them."""
    config = configuration(tmp_path)
    config.train.precision = "fp32"
    config.model.num_transitions = 2

    def train(name, updates=12, attack=lambda learner, number: None):
        config.train.updates = updates
        pyro.set_rng_seed(0)
        learner = build_learner(config, task, CPU)
        train_on, numbers = learner.train_on, iter(range(100))

        def attacked(batch):
            attack(learner, next(numbers))
            return train_on(batch)

        learner.train_on = attacked
        (tmp_path / name).mkdir(exist_ok=True)
        with pyro.validation_enabled(False):  # as in training
            fit(learner, task, [task.test["several"]], tmp_path / name / "GRAM.safetensors", {}, CPU, 0, 3)
        return load_file(tmp_path / name / "GRAM.safetensors")

    return train


@pytest.fixture(scope="module")
def kept():
    return {}


@pytest.fixture
def whole(trained, tmp_path, kept):
    """The weights and the table of the run that nobody disturbs, which is trained once."""
    if not kept:
        kept |= {"weights": trained("whole"), "table": table(tmp_path / "whole")}
    return kept


def poison(place, value):
    """An attack on the eighth trajectory: a checkpoint of update 6 was written before."""

    def attack(learner, number):
        if number != 7:
            return
        with torch.no_grad():
            if place == "embedding":
                learner.model.embed.table.weight[1:] = value
            elif place == "parameter":
                next(learner.model.core.parameters()).view(-1)[0] = value
            elif place == "gradient":
                learner.model.readout.logits.weight.register_hook(lambda gradient: gradient * value)
            else:  # a moment that reaches no loss
                learner.optimiser.state_dict()["state"][0]["exp_avg_sq"].view(-1)[0] = value

    return attack


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("embedding", "got the loss (nan|inf) at update 7; .*write a lower learning_rate or precision=fp32"),
        ("parameter", "got the loss (nan|inf) at update 7; .*write a lower learning_rate or precision=fp32"),
        ("gradient", "got the gradient (nan|inf) at update 7; .*write a lower learning_rate or precision=fp32"),
        (
            "moment",
            "(optimiser.0.exp_avg_sq is not finite at update 9|got the loss nan at update 8).* lower learning_rate",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Encountered NaN")
def test_what_is_not_finite_stops_the_run_and_is_not_saved(trained, whole, tmp_path, place, value, sentence):
    kept = r"; .*GRAM.safetensors keeps update 6, where all was finite"
    with pytest.raises(FloatingPointError, match=sentence + ".*" + kept):
        trained("run", attack=poison(place, value))
    tensors, description = checkpoint.read(tmp_path / "run" / "GRAM.safetensors")
    assert description["updates"] == 6
    assert all(torch.isfinite(value).all() for value in tensors.values())
    assert differing(whole["weights"], trained("run")) == []


@pytest.mark.filterwarnings("ignore:Encountered NaN")
def test_without_a_checkpoint_the_sentence_says_so(trained):
    with pytest.raises(FloatingPointError, match="at update 0; .*; nothing was saved before"):
        trained("run", attack=lambda learner, number: poison("parameter", float("nan"))(learner, 7))


@pytest.mark.parametrize("file", ["GRAM.safetensors", "GRAM.csv"])
def test_a_full_disk_keeps_the_last_checkpoint(trained, whole, tmp_path, file):
    """/dev/full takes no byte; it stands where the file is written before it gets its name."""

    def fill(learner, number):
        if number == 7:
            (tmp_path / "run" / f"{file}.part").symlink_to("/dev/full")

    with pytest.raises(OSError, match=rf"{file} could not be written \(No space left on device\).* is kept; make room"):
        trained("run", attack=fill)
    assert checkpoint.read(tmp_path / "run" / "GRAM.safetensors")[1]["updates"] == 6
    assert differing(whole["weights"], trained("run")) == []
    assert table(tmp_path / "run") == whole["table"]


def test_a_disk_that_fills_half_way_keeps_the_last_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    checkpoint.write(path, {"w": torch.zeros(10)}, {"n": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match="could not be written .File too large."):
            checkpoint.write(path, {"w": torch.zeros(100_000)}, {"n": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.read(path)[1] == {"n": 1} and list(tmp_path.iterdir()) == [path]


def test_where_nothing_can_be_written_or_removed_the_first_problem_is_told(tmp_path):
    (tmp_path / "table").write_text("before")
    (tmp_path / "table.part").mkdir()
    with pytest.raises(OSError, match=r"table could not be written \(Is a directory\), and the old file is kept"):
        write_atomically(tmp_path / "table", b"after")
    assert (tmp_path / "table").read_text() == "before" and (tmp_path / "table.part").is_dir()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_interrupted_between_rows_the_table_misses_nothing(trained, whole, tmp_path, sent):
    """log_every is 3: a signal after 4 and after 8 updates, as a scheduler sends it, or a terminal that is closed."""
    if signal.getsignal(sent) == signal.SIG_IGN:
        pytest.skip("this process ignores the signal (nohup)")
    for number in (3, 3):
        with pytest.raises(KeyboardInterrupt, match="stopped at update . of 12; nothing is lost"):
            trained("run", attack=lambda learner, n, at=number: n == at and os.kill(os.getpid(), sent))
    assert checkpoint.read(tmp_path / "run" / "GRAM.safetensors")[1]["updates"] == 8
    assert differing(whole["weights"], trained("run")) == []
    assert table(tmp_path / "run") == whole["table"]


def test_a_terminal_that_is_closed_does_not_stop_what_nohup_started():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_table_that_lost_rows_is_not_continued(trained, tmp_path):
    trained("run", updates=6)
    file = tmp_path / "run" / "GRAM.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(
        ValueError, match="got 2 lines in .*; expected the 3 from which the checkpoint goes on; put the table back"
    ):
        trained("run")


HOLD = "import filelock, sys, time; lock = filelock.FileLock(sys.argv[1], timeout=0); lock.acquire()"


def test_two_processes_cannot_share_a_run_folder(tmp_path):
    """The other one, whether it came first or second, and a folder that is free again after kill -9."""
    run_folder.claim(tmp_path / "ours", "")
    if not (child := os.fork()):
        os._exit(0)
    os.waitpid(child, 0)  # a forked process that ended has not let go
    other = subprocess.run([sys.executable, "-c", HOLD, tmp_path / "ours" / "lock"], capture_output=True, text=True)
    assert other.returncode != 0 and "Timeout" in other.stderr

    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "lock").touch()
    command = [sys.executable, "-c", HOLD + "; print('held', flush=True); time.sleep(60)", tmp_path / "theirs" / "lock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="another process is at work in .*theirs; wait for it, or write another"):
            run_folder.claim(tmp_path / "theirs", "")
        assert not (tmp_path / "theirs" / "config.yaml").exists()
        other.kill()
    assert run_folder.claim(tmp_path / "theirs", "dim: 8\n") == "dim: 8\n"


@pytest.mark.parametrize("answer", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_warned_of_and_used(tmp_path, monkeypatch, caplog, answer):
    """As some network disks answer."""

    def refuse(*args):
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with caplog.at_level(logging.WARNING):
        assert run_folder.claim(tmp_path / "run", "dim: 8\n") == "dim: 8\n"
    assert "is on a disk without locks; let no other process work in it" in caplog.text


@pytest.mark.parametrize("broken", ["open", "fsync"])
def test_a_folder_that_cannot_be_synchronised_is_written_to_all_the_same(tmp_path, monkeypatch, broken):
    """Windows opens no folder, and some network disks bring none to the disk."""
    real = getattr(os, broken)

    def refuse(what, *flags):
        folder = os.readlink(f"/proc/self/fd/{what}") if broken == "fsync" else what
        if os.path.isdir(folder):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(what, *flags)

    monkeypatch.setattr(os, broken, refuse)
    write_atomically(tmp_path / "table", b"after")
    assert (tmp_path / "table").read_bytes() == b"after" and os.listdir(tmp_path) == ["table"]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"^error: .* cannot hold a run \(.*\); write a run_dir that can be written"):
        with plain_errors():
            claim_folder(configuration(tmp_path / place))


def test_a_folder_is_for_one_configuration(tmp_path):
    config = configuration(tmp_path)
    claim_folder(config)
    config.train.beta = 0.25
    claim_folder(config)  # nothing was made by the former one yet
    (tmp_path / "GRAM.safetensors").touch()
    same = configuration(f"{tmp_path}/../{tmp_path.name}")
    same.train.beta = 0.25
    assert claim_folder(same) == tmp_path / ".." / tmp_path.name
    config.train.beta, config.evaluate.widths = 0.5, [1, 2, 3]
    differ = r"\(train.beta is 0.25 there and 0.5 here, evaluate.widths is \[1, 2\] there and \[1, 2, 3\] here\)"
    with pytest.raises(ValueError, match=f"holds a run with another configuration {differ}; repeat its overrides"):
        claim_folder(config)
    for number in range(10):
        OmegaConf.update(config, f"core.new_{number}", number, force_add=True)
    with pytest.raises(ValueError, match=r"core.new_0 is absent there and 0 here, .* and 6 more\); repeat"):
        claim_folder(config)


@pytest.mark.parametrize(("full", "error"), [("0", SystemExit), ("1", ValueError)])
def test_a_user_may_ask_for_the_traceback(monkeypatch, full, error):
    monkeypatch.setenv("HYDRA_FULL_ERROR", full)
    with pytest.raises(error, match="dim=3 came"), plain_errors():
        raise ValueError("dim=3 came")


def test_an_interrupted_run_tells_how_to_continue_it(tmp_path):
    """One with a configuration by its folder; a comparison, which is many runs, by its command line."""
    config = configuration(tmp_path)
    config.resume = None

    def interrupted(config):
        raise KeyboardInterrupt

    for how in (f"run_dir={tmp_path} and the same overrides", f"resume={tmp_path}"):
        with pytest.raises(SystemExit, match=f"^interrupted; to continue: gram-pyro svi {how}$"):
            with pyro.settings.context(**pyro.settings.get()):
                trial.run_trial(config, "svi", interrupted)
        (tmp_path / "config.yaml").touch()


class LargestState(TorchDispatchMode):
    """The number of elements of the largest tensor of states [..., L, D] that anything computes."""

    size = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.ndim >= 3 and result.is_floating_point():
            self.size = max(self.size, result.numel())
        return result


def test_ten_thousand_trajectories_take_the_memory_of_one_chunk():
    model, _ = program()
    x, _ = batch(1)
    sizes = {}
    for width in (256, 10_000):
        with LargestState() as largest:
            answers = sample(model, x, width, 1, chunk=256).answers
        assert answers.shape == (width, 1, L)
        sizes[width] = largest.size
    assert sizes[10_000] == sizes[256] > 0
