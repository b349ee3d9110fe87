"""Which version of the source ran: a note in what is written, which neither stops a run nor says what is not so."""

import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve()
SECONDS = 20  # for git, on a slow disk


def commit(source: Path = SOURCE) -> str:
    """The commit of the git repository that keeps the file `source`.

    Returns: 'unknown' where none does (the package is installed, be it within another repository) or git fails.
    """
    try:
        git(source, "ls-files", "--error-unmatch", "--", source.name)
        return git(source, "describe", "--always", "--dirty") or "unknown"
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def git(source: Path, *arguments: str) -> str:
    """What git says in the folder of `source`, whatever repository the surroundings name."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments],
        cwd=source.parent,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
        timeout=SECONDS,
    )
    return done.stdout.strip()
