"""The command line of a script of `experiments/`. A mistake that a user can mend costs one sentence, not a traceback.

command_line      main() of a script: conf/SCRIPT.yaml with the overrides that were given, through Hydra
experiment        the same, with the configuration checked and errors in one sentence
plain_arguments   before Hydra reads them: text is taken letter by letter, an unknown key gets the nearest one
plain_errors      while the work runs: an error is one sentence
"""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import wraps
from inspect import getfile, unwrap
from io import TextIOWrapper
from pathlib import Path
from traceback import extract_tb

import hydra
import pyro
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Sweep
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gram_pyro.harness.check_config import check_settings, text_keys
from gram_pyro.harness.former import KEYS
from gram_pyro.harness.schema import FILES_OR_NULL, kind_of

ROOT = Path(__file__).parents[2]

Work = Callable[[DictConfig], object]


def script_of(work: Callable) -> str:
    """The name of the script that a function stands in."""
    return Path(getfile(unwrap(work))).stem


def command_line(work: Work) -> Callable[[], None]:
    """The function `main()` of a script: it calls `work` with the configuration that the command line gives."""

    @wraps(work)
    def main() -> None:
        plain_arguments()
        hydra.main(version_base=None, config_path="conf", config_name=script_of(work))(work)()

    return main


def experiment(work: Work) -> Callable[[], None]:
    """As `command_line`, with a checked configuration and errors in one sentence."""

    @command_line
    @wraps(work)
    def checked(config: DictConfig) -> None:
        pyro.enable_validation(False)
        with plain_errors():
            check_settings(config)
            work(config)

    return checked


@contextmanager
def plain_errors() -> Iterator[None]:
    """Exit with one sentence on a bad value, a file that cannot be read or written, a number that is not finite, or
    Ctrl-C.

    The place of a ValueError from another package is added. Characters that the terminal cannot show are escaped, and
    messages that cannot be shown at all (a full disk, a closed pipe) are dropped.
    HYDRA_FULL_ERROR=1 shows the traceback instead.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    told = logging.raiseExceptions
    logging.raiseExceptions = False
    try:
        yield
    except (ValueError, OSError, FloatingPointError, InstantiationException) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        sys.exit(f"error: {' '.join(str(cause).split())}{'' if isinstance(cause, OSError) else place_of(cause)}")
    except KeyboardInterrupt:
        sys.exit("interrupted; what was written before is kept")
    finally:
        logging.raiseExceptions = told


def place_of(error: BaseException) -> str:
    """Where an error was raised and how to see its traceback, in brackets; empty if this package raised it."""
    frames = extract_tb(error.__traceback__)
    if not frames or (is_ours(frames[-1].filename) and str(frames[-1].line).startswith("raise")):
        return ""
    return f" (in {frames[-1].filename}, line {frames[-1].lineno}; HYDRA_FULL_ERROR=1 shows the traceback)"


def is_ours(file: str) -> bool:
    """Whether a file belongs to this package."""
    return any(Path(file).is_relative_to(ROOT / name) for name in ("gram_pyro", "guides", "experiments"))


def plain_arguments() -> None:
    """Prepare the command line of an experiment for Hydra. Its configuration has the name of the script.

    Values of keys that take text are quoted if Hydra would change them, and GROUP=null becomes ~GROUP, as Hydra leaves
    a group out. Exits with one sentence on arguments that Hydra cannot read, on unknown keys, and if a required part is
    left out. With a flag (--multirun, --help) Hydra does the rest.
    """
    script, folder = Path(sys.argv[0]).stem, Path(sys.argv[0]).resolve().parent / "conf"
    flagged = any(argument.startswith("-") for argument in sys.argv[1:])
    with initialize_config_dir(str(folder), version_base=None):
        plain = compose(script)
        texts = list(text_keys(OmegaConf.to_container(plain), script))
        sys.argv[1:] = [
            argument if names_files(argument, script) else quoted(left_out(argument, folder), texts, sweep=flagged)
            for argument in sys.argv[1:]
        ]
        if flagged:
            return
        try:
            config = compose(script, overrides=sys.argv[1:])
        except (HydraException, OmegaConfBaseException, ValueError, TypeError) as problem:
            sys.exit(f"error: {explain(problem, sys.argv[1:], plain)}")
    if idle := [argument for argument in sys.argv[1:] if changes_nothing(argument, plain)]:
        key, kind = _parse(idle[0]).key_or_group, kind_of(_parse(idle[0]).key_or_group, script)
        instead = f"write {key}=null" if kind and kind.takes(None) else "leave it out"
        sys.exit(f"error: got {idle[0]}, which changes nothing: keys are added to those that exist; {instead}")
    if needed := [str(key) for key in plain.keys() - config.keys()]:
        sys.exit(f"error: got no {needed[0]}; expected one; write {needed[0]}=CHOICE, or do not override it")


def left_out(argument: str, folder: Path) -> str:
    """An argument; ~GROUP if it is GROUP=null, the choices of the group being files of a folder in `folder`."""
    group, _, value = argument.partition("=")
    return f"~{group}" if value == "null" and (folder / group).is_dir() else argument


def names_files(argument: str, script: str) -> bool:
    """Whether it is KEY={NAME: FILE, ...}, of a key that takes such names."""
    key, _, value = argument.partition("=")
    read = _parse(argument).value() if value[:1] == "{" and _is_read(argument) else None
    return isinstance(read, dict) and kind_of(key, script) is FILES_OR_NULL and FILES_OR_NULL.takes(read)


def changes_nothing(argument: str, config: DictConfig) -> bool:
    """Whether it gives no keys to what has some: what is written in {...} comes beside the keys that there are."""
    read = _parse(argument)
    return read.value() == {} and bool(OmegaConf.select(config, read.key_or_group))


def quoted(argument: str, texts: Sequence[str], sweep: bool = False) -> str:
    """An argument KEY=VALUE, with a quoted value if the key is in `texts` and Hydra would read another value.

    null, quoted values, and lists of choices of a sweep do not change.
    """
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in texts:
        return argument
    read = _parse(argument).value() if _is_read(argument) else None
    if value == "null" or (value[:1] in ("'", '"') and isinstance(read, str)):
        return argument
    if read == value and "${" not in value or (sweep and isinstance(read, Sweep)):
        return argument
    value = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)  # no interpolation
    value = re.sub(r"(\\*)('|$)", lambda end: 2 * end[1] + (r"\'" if end[2] else ""), value)
    return f"{key}='{value}'"


def _parse(argument: str) -> Override:
    return OverridesParser.create().parse_override(argument)


def _is_read(argument: str) -> bool:
    """Whether Hydra can read an argument."""
    try:
        _parse(argument)
    except HydraException:
        return False
    return True


def is_name(choice: object) -> bool:
    """Whether a choice is a name, or a list of names."""
    return isinstance(choice, str) or (isinstance(choice, list) and all(isinstance(name, str) for name in choice))


def explain(problem: Exception, overrides: Sequence[str], config: DictConfig) -> str:
    """An error of Hydra as one sentence, with the argument, or with the keys nearest to an unknown one."""
    text = " ".join(str(problem).split()).partition(" Config search path")[0]
    if unread := [argument for argument in overrides if not _is_read(argument)]:
        return f"got {unread[0]}, which cannot be read ({text.partition(' See ')[0]}); write KEY=VALUE or KEY='VALUE'"
    if not isinstance(problem, HydraException | OmegaConfBaseException):  # Hydra's error for a choice that is no name
        parts = {key for key, value in OmegaConf.to_container(config).items() if isinstance(value, dict | None)}
        values = {argument: read for argument in overrides if (read := _parse(argument)).key_or_group in parts}
        wrong = next(argument for argument, read in values.items() if not is_name(read.value()))
        return f"got {wrong}; write one of the choices of {values[wrong].key_or_group} by name"
    missing = re.search(r"Could not override '([^']+)'", text)
    if missing is None or OmegaConf.select(config, missing[1]) is not None:  # the key exists and takes another value
        return text
    place, _, key = missing[1].rpartition(".")
    around = OmegaConf.select(config, place) if place else config
    known = [str(name) for name in around] if isinstance(around, DictConfig) else [str(name) for name in config]
    before = f"{place}." if isinstance(around, DictConfig) and place else ""
    nearest = [before + name for name in get_close_matches(key, known, cutoff=0.5) or known]
    first, dot, rest = missing[1].partition(".")
    if first in KEYS:
        nearest = [KEYS[first] + dot + rest]
    more = f" (another argument of {around._target_} is +{missing[1]}=...)" if before and "_target_" in around else ""
    return f"there is no key {missing[1]}; did you mean {' or '.join(nearest)}?{more}"
