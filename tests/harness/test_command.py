"""The command line before Hydra reads it: every text arrives letter by letter, and an unknown key gets the nearest."""

import pytest
from fuzzing import fuzz
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scripts import script

from gram_pyro.harness.command import names_files, plain_errors, quoted
from gram_pyro.tasks.base import subset

PARSER = OverridesParser.create()


def arrives(value, sweep=False):
    """What Hydra and OmegaConf make of puzzle=VALUE."""
    read = PARSER.parse_override(quoted(f"puzzle={value}", ["puzzle"], sweep)).value()
    return OmegaConf.create({"puzzle": read}).puzzle


WRITTEN = [
    "@Größe.txt",
    "@a=b.txt",
    "@(2).txt",
    "12.40",
    "1_2",
    "true",
    "1,2",
    "[1]",
    "{a: 1}",
    "a b",
    "@C:\\new\\",
    "${x}",
]


@pytest.mark.parametrize("value", [*WRITTEN, "it's", '5"', "1 .\n. 2", "", "-", "~", "a#b"])
def test_values_arrive_as_they_are_written(value):
    assert arrives(value) == value


@fuzz(300, value=st.text("ab'\"\\${}()[]=, \t\n@é.1_:;#~+-!", max_size=9))
def test_any_value_arrives(value):
    assert value[:1] in ("'", '"') or arrives(value) == value


def test_what_is_quoted_null_or_swept_stays():
    assert arrives("'a b'") == "a b" and arrives("null") is None
    assert quoted("puzzle=a,b", ["puzzle"], sweep=True) == "puzzle=a,b" and arrives("a,b") == "a,b"
    assert quoted("widths=[1,2]", ["puzzle"]) == "widths=[1,2]"


@pytest.mark.parametrize(
    ("argument", "several"),
    [
        ("task.test={hard: a/b.csv, easy: 'c d.csv'}", True),
        ("task.test=a.csv", False),
        ("task.test={hard: 3}", False),
        ("task.test={}", False),
        ("task.test={a", False),
        ("puzzle={a: b}", False),
    ],
)
def test_a_key_that_takes_files_takes_several_by_name(argument, several):
    assert names_files(argument, "evaluate") is several


@pytest.mark.parametrize(
    "name, argument, sentence",
    [
        ("solve", "num_particle=3", "error: there is no key num_particle; did you mean num_particles"),
        ("solve", "temprature=1", "error: there is no key temprature; did you mean temperature?"),
        ("evaluate", "task.tst=a.csv", "error: there is no key task.tst; did you mean task.test"),
        ("svi_sudoku", "task.train=a.csv", "another argument of gram_pyro.tasks.sudoku.task.Sudoku is +task.train=..."),
        ("svi_sudoku", "prior=null", "error: got no prior; expected one; write prior=CHOICE, or do not override it"),
        ("svi_sudoku", "baseline=5", "error: got baseline=5; write one of the choices of baseline by name"),
        ("svi_sudoku", "baselines={}", "which changes nothing: keys are added to those that exist; write base"),
        ("svi_nqueens", "train={}", "which changes nothing: keys are added to those that exist; leave it out"),
        ("svi_sudoku", "rivals.deterministic=null", "did you mean baselines.deterministic?"),
        ("svi_images", "peer=d3pm", "error: there is no key peer; did you mean baseline?"),
        ("svi_generation", "baselines.deterministic={seed: 1}", "got baselines; expected none: boards are judged"),
        ("svi_sudoku", "~prior", "error: got no prior; expected one; write prior=CHOICE, or do not override it"),
        ("svi_sudoku", "core=2.5", "error: got core=2.5; write one of the choices of core by name"),
        ("svi_sudoku", "train={a: 1}", "error: Could not override 'train'. To append to your config use +train={a: 1}"),
        ("evaluate", "sampler=smcc", "error: In 'evaluate': Could not find 'sampler/smcc' Available options"),
        ("evaluate", "widths=[1,", "error: got widths=[1,, which cannot be read (no viable alternative"),
        ("solve", "puzzle=@Größe(2)=a.txt", "error: there is no file Größe(2)=a.txt; write the path of a file"),
        ("evaluate", "checkpoint=ü=1.safetensors", "error: there is no checkpoint at ü=1.safetensors"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(name, argument, sentence):
    done = script(name, argument, check=False)
    assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr


def test_null_leaves_a_group_out_that_is_not_needed(tmp_path):
    """GRAM is what there is without a baseline; that of a method is undone too."""
    few = ("experiment=smoke", "baselines=null", "train.updates=2", "watch.every=2", "train.num_segments=1")
    script("svi_sudoku", *few, "method=d3pm", "baseline=null", "rung=null", f"run_dir={tmp_path}")
    assert OmegaConf.load(tmp_path / "config.yaml").baseline is None and (tmp_path / "GRAM.safetensors").is_file()


@pytest.mark.parametrize(
    ("work", "sentence"),
    [
        (lambda: subset(None, 0), r"error: got num_puzzles=0; expected at least 1; write null for all puzzles"),
        (lambda: open("nowhere", encoding="utf-8"), r"error: \[Errno 2\] No such file or directory: 'nowhere'"),
        (lambda: max([]), r"error: max\(\) .* \(in .*test_command.py, line \d+; HYDRA_FULL_ERROR=1 shows .*\)"),
        (lambda: int("x"), r"error: invalid literal .* \(in .*test_command.py, line \d+; .*\)"),
    ],
)
def test_an_error_that_is_no_sentence_of_ours_is_told_with_its_place(work, sentence):
    with pytest.raises(SystemExit, match=f"^{sentence}$"), plain_errors():
        work()
