"""The version of the source that ran, for results. It never stops a run and is never wrong: it may be 'unknown'."""

import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve()
SECONDS = 20  # for git, on a slow disk


def commit(source: Path = SOURCE) -> str:
    """The commit of the git repository that keeps the file `source`.

    Returns: 'unknown' if none does (the package is installed, even inside another repository), or git fails.
    """
    try:
        git(source, "ls-files", "--error-unmatch", "--", source.name)
        return git(source, "describe", "--always", "--dirty") or "unknown"
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def git(source: Path, *arguments: str) -> str:
    """The output of git in the folder of `source`. Environment variables such as GIT_DIR are ignored."""
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
