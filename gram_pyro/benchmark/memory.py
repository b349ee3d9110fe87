"""Peak memory in MiB. On a GPU, allocated tensor memory; on a CPU, resident memory of the process.

Linux can reset the peak of a process (/proc/self/clear_refs), so that one process can measure many peaks.
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
        raise OSError(f"peak memory is read from /proc, which {sys.platform} does not have; write memory=null")
    ctypes.CDLL(None).malloc_trim(0)  # memory freed earlier does not count
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    work()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure_memory(group: str, ways: Mapping[str, Callable[[], object]], device: torch.device) -> list[Line]:
    """Peaks of every way, in order."""
    return compared(f"peak memory: {group}", {way: peak(work, device) for way, work in ways.items()}, "MiB")
