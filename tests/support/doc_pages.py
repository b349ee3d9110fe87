"""Pages of Markdown taken apart: fenced blocks, commands, links, headings."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from scripts import ROOT

PLACES = ("*.md", "docs/**/*.md", "experiments/results/**/*.md")
FENCE = re.compile(r'^```(\w*)(?: title="([^"\n]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")


class Block(NamedTuple):
    language: str
    title: str  # the file it is written to; '' for none
    text: str


def pages() -> list[Path]:
    """What a user reads."""
    return [page for place in PLACES for page in sorted(ROOT.glob(place))]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[Block]:
    """The fenced blocks of a language, in order."""
    found = (Block(*groups) for groups in FENCE.findall(page.read_text(encoding="utf-8")))
    return [Block(kind, title or "", text) for kind, title, text in found if kind == language]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def commands(page: Path) -> list[list[str]]:
    """The words of every command line of a page: no comments, no assignments before it, no redirection after it."""
    found = []
    for block in blocks(page, "bash"):
        for line in block.text.splitlines():
            for part in line.partition(" < ")[0].split(" && "):
                words = shlex.split(part, comments=True)
                while words and ASSIGNMENT.fullmatch(words[0]):
                    words = words[1:]
                found += [words] if words else []
    return found


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page lead, if not to the web."""
    return [target for target in LINK.findall(prose(page)) if not re.match(r"https?:", target)]


def anchors(page: Path) -> set[str]:
    """The headings of a page as a link names them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.replace("`", "")).strip().lower().replace(" ", "-") for title in titles}


def paths(page: Path) -> list[str]:
    """The files and folders that a page names in `code`: those of the repository, and those beside the page."""
    places = "gram_pyro|guides|experiments|tests|notebooks|docs"
    beside = "|".join(folder.name for folder in page.parent.iterdir() if folder.is_dir())
    found = re.compile(rf"(?:{places}|{beside or places})/[\w/.*\-]*")
    return [code.rstrip("/") for code in CODE.findall(prose(page)) if found.fullmatch(code)]
