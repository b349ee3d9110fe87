"""The sum that a file of tensors carries, so that one changed bit is noticed.

    sum = SHA-256 of the description and of the name, type, shape and bytes of every tensor

Source: ours.
"""

from hashlib import sha256

import torch
from torch import Tensor


def digest(tensors: dict[str, Tensor], description: str) -> str:
    """The sum for these tensors and their description."""
    total = sha256(description.encode())
    for name, value in sorted(tensors.items()):
        total.update(f"\n{name} {value.dtype} {list(value.shape)}\n".encode())
        total.update(value.flatten().view(torch.uint8).numpy())
    return total.hexdigest()
