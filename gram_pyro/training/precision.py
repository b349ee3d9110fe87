"""The precision of the networks. Weights, laws and losses are always single precision.

bf16 has 8 bits of mantissa and takes half the memory. It is several times as fast as fp32 where the hardware supports
it, and several times as slow where every product is emulated.
"""

import torch

PRECISIONS = {"bf16": torch.bfloat16, "fp32": torch.float32}
AUTO = "auto"


def choose_precision(name: str, device: torch.device) -> str:
    """A key of PRECISIONS: `name` itself; for "auto", bf16 if the hardware supports it, else fp32.

    Raises: ValueError on another name.
    """
    if name != AUTO and name not in PRECISIONS:
        raise ValueError(f"got precision={name!r}; expected a known one; write {', '.join([AUTO, *PRECISIONS])}")
    return ("bf16" if multiplies_bf16(device) else "fp32") if name == AUTO else name


def multiplies_bf16(device: torch.device) -> bool:
    """Whether the hardware has bf16 instructions: a GPU since Ampere, a CPU with AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()  # torch has no public name


def autocast(name: str, device: torch.device) -> torch.autocast:
    """The context of forward passes in a precision, a key of PRECISIONS or "auto"."""
    chosen = choose_precision(name, device)
    return torch.autocast(device.type, PRECISIONS[chosen], enabled=chosen != "fp32")
