"""Memory that is freed stays with the process: the same large block, asked for again, brings no new page."""

import resource
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
if sys.argv[1] == "keep":
    from gram_pyro.training.allocator import keep_freed_memory
    assert keep_freed_memory()
for _ in range(10):  # the heap may grow a few times before a block finds a place that fits
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(2**24)  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    found = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True, timeout=120)
    return int(found.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_block_that_was_freed_is_used_again():
    pages = 2**26 // resource.getpagesize()
    assert faults("keep") < pages < 10 * pages < faults("as it is")
