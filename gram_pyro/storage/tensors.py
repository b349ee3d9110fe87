"""Tensors and a description as one safetensors file, for checkpoints and caches.

    header: {"format": FORMAT, "description": JSON text, "sum": S}
    S = SHA-256 of the description and of the name, type, shape and bytes of every tensor

Reading never executes code, and a file that was changed by one bit is refused.
Source: ours.
"""

import json
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from gram_pyro.storage.atomic import write_atomically

FORMAT = "gram_pyro-3"
UNSUMMED = "gram_pyro-2"  # the format before the sum: its weights can be read, and its runs cannot be continued
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch.save, and plain pickles


def encoded(tensors: dict[str, Tensor], description: dict) -> bytes:
    """The bytes of a file with these tensors and this description, which must be JSON."""
    text = json.dumps(description)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return to_bytes(tensors, {"format": FORMAT, "sum": digest(tensors, text), "description": text})


def write(path: Path, tensors: dict[str, Tensor], description: dict) -> None:
    """Write tensors and a description, which must be JSON.  Raises: OSError."""
    write_atomically(path, encoded(tensors, description))


def read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """The tensors and the description of a file.

    Raises: FileNotFoundError if there is no file; OSError if it cannot be read; ValueError, with a sentence that says
    what the file is not.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no checkpoint at {path}; run `make sudoku`, or write the path of a run's .safetensors file"
        )
    data = path.read_bytes()  # all at once: a run that goes on replaces the file
    try:
        tensors = from_bytes(data)
    except SafetensorError as error:
        if data.startswith(PICKLES):  # asked second: a header of 640 bytes begins as a pickle does
            raise ValueError(
                f"{path} is a pickle (as torch.save writes), which is not opened because opening one can run any "
                "program; write a .safetensors checkpoint of this program"
            ) from None
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); write a checkpoint of this program"
        ) from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    if header.get("format") not in (FORMAT, UNSUMMED):
        raise ValueError(
            f"{path} has format {header.get('format')!r}; expected {FORMAT!r}, which this program reads; train it again"
        )
    text = header.get("description", "")
    if header.get("sum") != (digest(tensors, text) if header["format"] == FORMAT else None):
        raise ValueError(
            f"{path} is damaged: its checksum does not match its contents; copy it again, or delete it and train it "
            "again"
        )
    return tensors, json.loads(text)


def digest(tensors: dict[str, Tensor], description: str) -> str:
    """The sum for these tensors and their description."""
    total = sha256(description.encode())
    for name, value in sorted(tensors.items()):
        total.update(f"\n{name} {value.dtype} {list(value.shape)}\n".encode())
        total.update(value.flatten().view(torch.uint8).numpy())
    return total.hexdigest()
