"""Fetch the data sets that have a public source, and check them.

    pip install 'gram_pyro[data]'
    python experiments/get_data.py                  all of them, into $GRAM_DATA or data/; 13 MB
    python experiments/get_data.py sets=[mnist]

Right files are kept. An interrupted download continues. A file is written only if the SHA-256 of its contents is the
one in conf/get_data.yaml.
"""

import gzip
import hashlib
import io
import json
import logging
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

import numpy as np
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from gram_pyro.harness.command import experiment
from gram_pyro.storage.atomic import write_atomically
from gram_pyro.tasks.files import PuzzleFileError, read_bytes

log = logging.getLogger(__name__)

PACK: dict[str, Callable[[bytes], bytes]] = {".xz": lzma.compress, ".gz": lambda data: gzip.compress(data, mtime=0)}
DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, ValueError, KeyError)


class Source(NamedTuple):
    """A file: its name, its address, the SHA-256 of its uncompressed contents; how it is made from the download, and
    which folder of an archive is used."""

    file: str
    url: str
    sha256: str
    make: str = "as_it_is"
    inner: str = ""


def unpacked(data: bytes) -> bytes:
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def joined(data: bytes, inner: str) -> bytes:
    """The tasks of all .json files of a folder in a zip archive, {name: {"train", "test"}}, as JSON."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    names = [name for name in archive.namelist() if f"/{inner}/" in name and name.endswith(".json")]
    return in_order({Path(name).stem: json.loads(archive.read(name)) for name in names})


def in_order(tasks: dict[str, dict]) -> bytes:
    """The tasks as JSON, by name, without further keys."""
    ordered = {name: {part: tasks[name][part] for part in ("train", "test")} for name in sorted(tasks)}
    return json.dumps(ordered, separators=(",", ":")).encode()


def bits(data: bytes) -> bytes:
    """Images of IDX, a byte a pixel, thresholded at one half and packed, image by image."""
    raw = unpacked(data)
    count = int.from_bytes(raw[4:8], "big")
    return np.packbits(np.frombuffer(raw[16:], np.uint8).reshape(count, -1) >= 128, axis=1).tobytes()


def made(data: bytes, source: Source) -> bytes:
    """The contents of a file, unpacked, from what was fetched for it."""
    if source.make == "joined":
        return joined(data, source.inner)
    return bits(data) if source.make == "bits" else unpacked(data)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_right(file: Path, source: Source) -> bool:
    """Whether the file is there and has the right contents; tasks in any order."""
    try:
        contents = read_bytes(file) if file.is_file() else b""
        return digest(in_order(json.loads(contents)) if source.make == "joined" else contents) == source.sha256
    except (PuzzleFileError, *DAMAGE):
        return False


def fetch(url: str, file: Path) -> bytes:
    """The bytes at `url`. `file` keeps a partial download, from which a later call continues.

    Raises: OSError if the address cannot be reached or does not exist, or the download is interrupted.
    """
    import requests

    had = file.stat().st_size if file.exists() else 0
    asked = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={had}-"} if had else {})
    try:
        with requests.get(url, headers=asked, stream=True, timeout=30) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:  # all of it came before
                return file.read_bytes()
            answer.raise_for_status()
            goes_on = answer.status_code == requests.codes.partial_content
            had = had if goes_on else 0
            shown = {"desc": url.rpartition("/")[2], "unit": "B", "unit_scale": True, "initial": had}
            size = had + int(answer.headers.get("Content-Length", 0))
            with file.open("ab" if goes_on else "wb") as part, tqdm(total=size or None, **shown) as bar:
                for piece in answer.iter_content(2**12):
                    part.write(piece)
                    bar.update(len(piece))
    except requests.HTTPError:
        raise OSError(f"{url} answers {answer.status_code} {answer.reason}") from None
    except requests.RequestException as problem:
        came = file.stat().st_size if file.exists() else 0
        what = f"broke off after {came} bytes" if came else "cannot be reached; is there a network?"
        raise OSError(f"{url} {what} ({type(problem).__name__}); the same command goes on there") from None
    return file.read_bytes()


def get(source: Source, folder: Path) -> None:
    """Write a file into `folder`.  Raises: OSError as `fetch`; ValueError if something else lies at the source."""
    file, part = folder / source.file, folder / ".fetched" / digest(source.url.encode())[:16]
    if is_right(file, source):
        log.info("%s is there", file)
        return
    part.parent.mkdir(parents=True, exist_ok=True)
    data = fetch(source.url, part)
    try:
        contents = made(data, source)
    except DAMAGE as problem:
        contents, found = b"", f"no such file ({problem})"
    else:
        found = f"SHA-256 {digest(contents)}"
    if digest(contents) != source.sha256:
        part.unlink()
        raise ValueError(
            f"got {found} for {source.file} from {source.url}; expected {source.sha256}; try once more, and if it "
            "stays so, the source has changed: see docs/data.md"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, PACK.get(file.suffix, bytes)(contents))
    log.info("%s: %d bytes", file, file.stat().st_size)


def run(config: DictConfig) -> None:
    try:
        sources = [Source(**each) for each in OmegaConf.to_container(config.files, resolve=True)]
    except TypeError as problem:
        expected = ", ".join(Source._fields)
        raise ValueError(f"got files=[...] with another entry ({problem}); expected {expected}") from None
    there, folder = [source.file.partition("/")[0] for source in sources], Path(config.folder)
    if unknown := set(config.sets) - set(there):
        raise ValueError(f"got sets={sorted(unknown)}; expected some of {', '.join(dict.fromkeys(there))}")
    for source, its_set in zip(sources, there, strict=True):
        if its_set in config.sets:
            get(source, folder)
    rmtree(folder / ".fetched", ignore_errors=True)
    log.info("they are found with: export GRAM_DATA=%s", folder.resolve())


@experiment
def main(config: DictConfig) -> None:
    try:
        run(config)
    except ImportError as problem:
        raise ValueError(f"get_data needs requests ({problem}); write pip install 'gram_pyro[data]'") from None


if __name__ == "__main__":
    main()
