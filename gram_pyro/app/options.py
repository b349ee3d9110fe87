"""Help for the options of an experiment, from the comments of its configuration and the choices of its groups.

    num_particles: 64      # trajectories        ->        num_particles=64        trajectories
Source: ours.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from omegaconf import OmegaConf

LINE = re.compile(r"(?P<indent> *)(?P<key>\w+): *(?P<value>.*?)(?: +# +(?P<words>.+))?")
INDENT, WIDTH = 26, 110


def explained(folder: Path, name: str) -> str:
    """The options of the configuration `name` in `folder`, one per paragraph: KEY=DEFAULT and its meaning."""
    return "\n".join(_entry(option, words) for option, words in [*settings(folder, name), *groups(folder, name)])


def settings(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """KEY=DEFAULT and the comment of every line that has one, including the configurations it is composed of."""
    path: list[str] = []
    for line in (folder / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
        if not (found := LINE.fullmatch(line)):
            continue
        path = [*path[: len(found["indent"]) // 2], found["key"]]
        if found["words"] and path[0] not in ("hydra", "defaults"):
            yield f"{'.'.join(path)}={found['value'] if len(found['value']) <= INDENT else '...'}", found["words"]
    for choice in _defaults(folder, name):
        if isinstance(choice, str) and choice != "_self_":
            yield from settings(folder, choice)


def groups(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """GROUP=DEFAULT of every group, and all its choices."""
    for choice in _defaults(folder, name):
        if isinstance(choice, str) and choice != "_self_":
            yield from groups(folder, choice)
        elif not isinstance(choice, str):
            ((group, default),) = choice.items()
            at, _, place = group.partition("@")
            files = sorted((folder / at).rglob("*.yaml"))
            names = [str(file.relative_to(folder / at).with_suffix("")) for file in files]
            if names and not at.startswith("override"):
                yield f"{group}={'null' if default is None else default}", f"one of {', '.join(names)}"


def _defaults(folder: Path, name: str) -> list:
    return list(OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yaml")).get("defaults", []))


def _entry(option: str, words: str) -> str:
    lines = textwrap.wrap(words, WIDTH - INDENT)
    first = [f"  {option}"] if len(option) > INDENT - 4 else [f"  {option:{INDENT - 2}}{lines.pop(0)}"]
    return "\n".join(first + [" " * INDENT + line for line in lines])
