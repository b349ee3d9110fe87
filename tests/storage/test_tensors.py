"""Files of tensors: what is written is read, whatever the length of the header."""

import torch

from gram_pyro.storage.tensors import PICKLES, encoded, read


def test_a_header_that_begins_as_a_pickle_is_read(tmp_path):
    """A safetensors file begins with the length of its header: 640 is the bytes 80 02, as those of a pickle."""
    path, seen = tmp_path / "a.safetensors", set()
    for length in range(0, 1300, 8):
        path.write_bytes(data := encoded({"w": torch.ones(2)}, {"text": "a" * length}))
        if data.startswith(PICKLES):
            seen.add(data[:2])
            assert read(path)[1] == {"text": "a" * length}
    assert len(seen) == 4
