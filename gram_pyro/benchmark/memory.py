"""Peak memory, in MiB: of a GPU what its tensors take, of a CPU what the whole process takes.

Linux forgets the peak of a process when told so (/proc/self/clear_refs), so that one process can have many peaks.
"""

import ctypes
import gc
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from gram_pyro.benchmark.clock import Line, compared


def peak(work: Callable[[], object], device: torch.device) -> float:
    """Peak memory while `work` runs.  Raises: OSError on a CPU without Linux."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform != "linux":
        raise OSError(f"peak memory is read from /proc, which {sys.platform} has not; write memory=null")
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before does not count
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    work()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure_memory(group: str, ways: Mapping[str, Callable[[], object]], device: torch.device) -> list[Line]:
    """Peaks of every way, in order."""
    return compared(f"peak memory: {group}", {way: peak(work, device) for way, work in ways.items()}, "MiB")
