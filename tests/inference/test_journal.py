"""Journals: what was done is not done again, what is damaged is, and sampling goes on to the same bits."""

import json
import logging
from functools import partial

import pyro
import pytest
import torch
from every_size import write_weights
from halting import SAMPLERS, Above, problem
from omegaconf import OmegaConf
from scripts import experiment, script
from small_baselines import BASELINES, PUZZLES
from solving import TWENTY_ONE, configured, needs, stamped

from gram_pyro.app import solver
from gram_pyro.baselines.base import sample_baseline
from gram_pyro.harness.journal import Journal, journal_of, keep_draws_of
from gram_pyro.harness.study import run_study
from gram_pyro.inference.kept import clock, keep_draws
from gram_pyro.inference.sampler import sample

VALUES = [{"rows": [1, 2.5, None]}, "text", [True], {"deep": {"er": "é"}}]


def work(path, values=VALUES, of=1):
    """Do it all.  Returns: what is known afterwards, which of it was done now, and seconds that were spared."""
    done = []
    journal = Journal(path, {"of": of})
    with journal.file:
        known = [journal.once(str(i), lambda i=i, v=v: done.append(i) or v) for i, v in enumerate(values)]
        assert not journal.is_behind
    return known, done, journal.spared


def test_what_was_done_is_not_done_again(tmp_path):
    assert work(tmp_path / "j") == (VALUES, [0, 1, 2, 3], 0.0)
    seconds = [json.loads(line)["seconds"] for line in (tmp_path / "j").read_text().splitlines()[1:]]
    assert work(tmp_path / "j") == (VALUES, [], pytest.approx(sum(seconds)))
    assert work(tmp_path / "j", [*VALUES, 7])[:2] == ([*VALUES, 7], [4])


def test_a_journal_that_is_cut_anywhere_goes_on_from_its_last_whole_line(tmp_path):
    work(tmp_path / "j")
    data = (tmp_path / "j").read_bytes()
    ends = [i + 1 for i, letter in enumerate(data) if letter == ord("\n")]
    for size in range(len(data)):
        (tmp_path / "j").write_bytes(data[:size])
        whole = max(0, sum(end <= size for end in ends) - 1)
        known, done, _ = work(tmp_path / "j")
        assert known == VALUES and done == list(range(whole, 4))
        assert work(tmp_path / "j")[:2] == (VALUES, [])


def test_no_damage_is_taken_for_what_was_found(tmp_path):
    """Every byte, one bit of each."""
    work(tmp_path / "j")
    data = (tmp_path / "j").read_bytes()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "j").write_bytes(damaged)
        known, done, _ = work(tmp_path / "j")
        assert known == VALUES and done == list(range(4 - len(done), 4))


def test_a_journal_of_other_work_is_begun_anew(tmp_path, caplog):
    work(tmp_path / "j")
    with caplog.at_level(logging.WARNING):
        assert work(tmp_path / "j", of=2)[1] == [0, 1, 2, 3]
    assert "j is of other work, and is started again" in caplog.text


def test_it_is_removed_when_all_is_done_and_stays_when_not(tmp_path):
    with pytest.raises(KeyboardInterrupt), journal_of(tmp_path / "j", 1) as journal:
        journal.once("a", lambda: 1)
        raise KeyboardInterrupt
    assert (tmp_path / "j").exists()
    with journal_of(tmp_path / "j", 1) as journal:
        assert journal.is_behind and journal.once("a", lambda: 2) == 1 and not journal.is_behind
    assert not (tmp_path / "j").exists()


# ---------------------------------------------------------------------------------------------- draws


def drawn(name, model, x):
    torch.manual_seed(3)
    options = {} if name == "full depth" else {"heads": Above(0.0), "halt_at": 0.5}
    found = {**SAMPLERS, "full depth": sample}[name](model, x, 6, 8, chunk=6, **options)
    return found, torch.rand(3)


@pytest.mark.parametrize("name", [*(name for name in SAMPLERS if name != "hot for ever"), "full depth"])
def test_sampling_goes_on_to_the_same_bits(tmp_path, name):
    """Interrupted in every chunk in turn; the random numbers that come afterwards are the same, too."""
    model, x = problem()
    expected, after = drawn(name, model, x)
    start, calls = model.start, []

    def counted(rows, fail_at):
        calls.append(rows)
        if len(calls) == fail_at:
            raise KeyboardInterrupt
        return start(rows)

    journal = Journal(tmp_path / "j", name)
    for _ in range(3):
        calls.clear()
        model.start = partial(counted, fail_at=2)
        with pytest.raises(KeyboardInterrupt), journal.file, keep_draws(journal):
            drawn(name, model, x)
            raise KeyboardInterrupt  # the last chunk has been drawn
        journal = Journal(tmp_path / "j", name)
    calls.clear()
    model.start = partial(counted, fail_at=None)
    with journal.file, keep_draws(journal):
        before = clock()
        found, then = drawn(name, model, x)
        assert clock() - before > journal.spared > 0
    assert not calls and torch.equal(then, after)
    for one, other in zip(found[:-1], expected[:-1], strict=True):
        assert one is other is None or torch.equal(one, other)
    assert (found.history is None) == (expected.history is None)
    if found.history:
        assert all(torch.equal(one, other) for one, other in zip(found.history, expected.history, strict=True))


def test_other_puzzles_are_drawn_anew(tmp_path):
    model, x = problem()
    for puzzles in (x, x.flip(0)):
        journal = Journal(tmp_path / "j", 1)
        with journal.file, keep_draws(journal):
            found, _ = drawn("full depth", model, puzzles)
        assert torch.equal(found.log_likelihood, drawn("full depth", model, puzzles)[0].log_likelihood)


@pytest.mark.parametrize("make", BASELINES[:2])
def test_a_baseline_goes_on_to_the_same_bits(tmp_path, make, monkeypatch):
    baseline, answers = make(), []
    for _ in range(2):
        journal = Journal(tmp_path / "j", 1)
        with journal.file, keep_draws(journal):
            torch.manual_seed(0)
            answers.append((sample_baseline(baseline, PUZZLES, 5, chunk=3).answers, torch.rand(3)))
        monkeypatch.setattr(baseline, "draw", lambda x: pytest.fail("it was drawn again"))
    torch.testing.assert_close(*answers, rtol=0, atol=0)
    assert answers[0][0].shape == (5, *PUZZLES.shape)


def test_other_weights_draw_anew(tmp_path):
    """However the draws lie between those of other programs."""
    baseline, weights = BASELINES[0](), [tmp_path / "a", tmp_path / "b"]

    def life(*contents):
        drawn, journal = [], Journal(tmp_path / "j", 1)
        with journal.file:
            for file, content in zip(weights, contents, strict=True):
                file.write_text(content)
                baseline.draw = lambda x, content=content: drawn.append(content) or x
                with keep_draws_of(file, journal):
                    torch.manual_seed(0)
                    sample_baseline(baseline, PUZZLES, 1)
        return drawn

    assert life("1", "2") == ["1", "2"] and life("1", "2") == []
    assert life("1", "3") == ["3"] and life("4", "3") == ["4", "3"]


# ---------------------------------------------------------------------------------------------- experiments


def test_an_interrupted_study_says_how_to_go_on(tmp_path, single_precision):
    write_weights(tmp_path / "w.safetensors", 4)
    keys = {"checkpoint": str(tmp_path / "w.safetensors"), "device": "cpu", "trust": False, "task": {}}
    config = OmegaConf.create(keys | {"run_dir": str(tmp_path / "run")})

    def interrupted(study):
        raise KeyboardInterrupt

    sentence = f"^interrupted; to continue, run the same command with run_dir={tmp_path / 'run'}$"
    with pytest.raises(SystemExit, match=sentence), pyro.settings.context(**pyro.settings.get()):
        run_study(config, interrupted)
    assert (tmp_path / "run" / "draws.jsonl").exists()


@needs("sudoku_6x6")
def test_two_files_in_one_second_are_two_results(tmp_path):
    (tmp_path / "a.txt").write_text(f"{TWENTY_ONE}\n{TWENTY_ONE}\n")
    for _ in range(2):
        with configured(f"puzzle=@{tmp_path / 'a.txt'}", "num_particles=2", "most=2", "num_segments=1") as config:
            own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
            experiment("solve").run(OmegaConf.merge(own, stamped(tmp_path / "runs")))
    folders = list((tmp_path / "runs").iterdir())
    assert len(folders) == 2 and all((folder / "solve.csv").stat().st_size for folder in folders)


@needs("sudoku_6x6")
def test_a_folder_that_cannot_be_written_to_is_found_before_anything_is_solved(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text(f"{TWENTY_ONE}\n{TWENTY_ONE}\n")
    monkeypatch.setattr(solver, "draw", lambda *args, **options: pytest.fail("it was drawn"))
    done = script("solve", f"puzzle=@{tmp_path / 'a.txt'}", f"run_dir={tmp_path / 'a.txt' / 'run'}", check=False)
    assert done.returncode == 1 and "cannot hold a run (Not a directory); write a run_dir" in done.stderr
