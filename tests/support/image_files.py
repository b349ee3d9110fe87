"""A task of small images, as files: what tests of images, of the stem and of the scores begin with."""

import gzip
import lzma

import numpy as np

ROWS, COLUMNS, PATCH, V, D = 4, 6, 2, 3, 8
L = ROWS * COLUMNS
SIZES = {"rows": ROWS, "columns": COLUMNS, "patch": PATCH}


def write_idx(path, labels):
    with gzip.open(path, "wb") as file:
        file.write(b"\0\0\x08\x01" + len(labels).to_bytes(4, "big") + bytes(labels))


def write_images(folder):
    """40 training images of two classes, a white left or right half with a little noise, and 10 test images.
    Returns: the arguments of a task of them, and their pixels."""
    random = np.random.default_rng(0)
    bits = {}
    for name, num in (("train", 40), ("test", 10)):
        labels = np.arange(num) % 2
        image = (np.arange(L) % COLUMNS < COLUMNS // 2) ^ labels[:, None].astype(bool)
        bits[name] = image ^ (random.random(image.shape) < 0.05)
        with lzma.open(folder / f"{name}.xz", "wb") as file:
            file.write(np.packbits(bits[name], axis=1).tobytes())
        write_idx(folder / f"{name}.gz", labels.tolist())
    arguments = {"train": folder / "train.xz", "test": folder / "test.xz"}
    arguments |= {"train_labels": folder / "train.gz", "test_labels": folder / "test.gz"}
    return arguments | {"rows": ROWS, "columns": COLUMNS}, bits
