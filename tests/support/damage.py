"""Every single-byte damage of a small file, and what may become of each."""

import random

import pytest

VALUES = (0x00, 0x0A, 0x20, 0x22, 0x23, 0x2C, 0x2D, 0x31, 0x39, 0x41, 0x5C, 0x7E, 0xC3, 0xFF)  # besides flipped bits
MOST = 120  # places of a longer file


def damages(content, bits=range(8)):
    """(place, damaged content): at every place, or MOST of them, flipped bits, and bytes that mean something to one of
    the formats."""
    for place in sorted(random.Random(0).sample(range(len(content)), min(MOST, len(content)))):
        byte = content[place]
        for value in ({byte ^ 1 << bit for bit in bits} | set(VALUES)) - {byte}:
            yield place, content[:place] + bytes([value]) + content[place + 1 :]


def survivors(path, content, read, refusals, bits=range(8)):
    """Damages that `read(path)` takes for other data; all others it reads as the same, or refuses in one sentence.

    Any other exception fails the test.  Returns: the (place, byte) of each.
    """
    path.write_bytes(content)
    expected = read(path)
    found = []
    for place, damaged in damages(content, bits):
        path.write_bytes(damaged)
        try:
            if read(path) != expected:
                found.append((place, damaged[place]))
        except refusals as refusal:
            assert "\n" not in str(refusal).strip() and str(path) in str(refusal), refusal
        except BaseException as error:
            pytest.fail(f"byte {place} as {damaged[place]:#x}: {type(error).__name__}: {error}")
    return found
