"""Binarised images as a task: the known pixels are the puzzle, the whole image is an answer.

    x_i = 0 where pixel i is unknown, else y_i;   y_i in {1 (black), 2 (white)}

With no known pixel this is unconditional generation, p(y); with some it is inpainting. The data have one of the many
answers per puzzle, so a solution set lists that one, and the bound on log p(y | x) trains on it. Answers are judged by
scores of many images (`gram_pyro.evaluation.image_scores`), not by rules.
Source: paper D.4 (MNIST, thresholded at one half); inpainting is ours.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gram_pyro.tasks.base import Batch, Puzzles, Task
from gram_pyro.tasks.files import PuzzleFileError, read_bytes

UNKNOWN, BLACK, WHITE = range(3)
IDX_OF_BYTES, IDX_OF_IMAGES = b"\0\0\x08\x01", b"\0\0\x08\x03"
SIDES = ("top", "bottom", "left", "right")


def read_images(path: str | Path, num_pixels: int) -> Tensor:
    """Images [N, L] of BLACK and WHITE (from 128 on) from an IDX file of three dimensions of bytes, or from a file of
    packed bits; either may be compressed (.xz, .gz). A file with 'idx' in its name is IDX.

    A packed image has ceil(L / 8) bytes; the first pixel is the highest bit, and bits after the last pixel are 0.
    Not noticed without compression: a changed pixel; under another name, IDX of small images whose first four bytes are
    damaged, which is taken for packed bits.
    Raises: FileNotFoundError; PuzzleFileError if it is damaged, of another size, or has bits after the last pixel.
    """
    width, content = -(-num_pixels // 8), read_bytes(path)
    if content[:4] == IDX_OF_IMAGES or "idx" in Path(path).name:
        return torch.from_numpy(idx_images(path, content, num_pixels) >= 128).long() + BLACK
    data = np.frombuffer(content, np.uint8)
    if not len(data) or len(data) % width:
        raise PuzzleFileError(
            f"got {len(data)} bytes in {path}; expected {width} for every image of {num_pixels} pixels; write an IDX "
            "file of such images, or one of np.packbits(image >= threshold, axis=1)"
        )
    bits = np.unpackbits(data.reshape(-1, width), axis=1)
    if bits[:, num_pixels:].any():
        image = int(bits[:, num_pixels:].any(1).argmax())
        raise PuzzleFileError(
            f"got bits after the {num_pixels} pixels of image {image + 1} of {path}; expected zeros; fetch it again, "
            "or write the rows and columns of its images"
        )
    return torch.from_numpy(bits[:, :num_pixels]).long() + BLACK


def idx_images(path: str | Path, content: bytes, num_pixels: int) -> np.ndarray:
    """Images [N, L] of bytes, from IDX.  Raises: PuzzleFileError on another kind, size or length."""
    count, rows, columns = (int.from_bytes(content[start : start + 4], "big") for start in (4, 8, 12))
    if content[:4] != IDX_OF_IMAGES:
        begins, expected = content[:4].hex(" "), IDX_OF_IMAGES.hex(" ")
        raise PuzzleFileError(f"{path} begins with {begins}; write {expected}, IDX of images")
    if rows * columns != num_pixels or len(content) != 16 + count * num_pixels or not count:
        raise PuzzleFileError(
            f"{path} declares {count} images of {rows} x {columns} pixels and holds {max(0, len(content) - 16)} bytes "
            f"of them; expected images of {num_pixels} pixels, a byte each; fetch it again, or write its rows, columns"
        )
    return np.frombuffer(content[16:], np.uint8).reshape(count, num_pixels)


def read_labels(path: str | Path) -> Tensor:
    """Classes [N] int64 from an IDX file of one dimension of bytes: 00 00 08 01, N as four bytes, then N labels.

    Without compression a changed label is not noticed.
    Raises: FileNotFoundError; PuzzleFileError if the file is damaged, of another kind or length.
    """
    data = read_bytes(path)
    if data[:4] != IDX_OF_BYTES:
        raise PuzzleFileError(f"{path} begins with {data[:4].hex(' ')}; write {IDX_OF_BYTES.hex(' ')}, IDX of bytes")
    declared = int.from_bytes(data[4:8], "big")
    if len(data) != 8 + declared or not declared:
        raise PuzzleFileError(f"{path} declares {declared} labels and holds {max(0, len(data) - 8)}; fetch it again")
    return torch.from_numpy(np.frombuffer(data[8:], np.uint8).astype(np.int64))


class Images(Task):
    """Images of `rows` x `columns` pixels from files under $GRAM_DATA.

    In training, a share `known_share` of the images shows one half (top, bottom, left or right), drawn for every batch;
    the others show nothing. Test sets: "generation" (nothing known), "inpainting" (the top half known).
    Args: train, test: files for `read_images`; train_labels, test_labels: files for `read_labels`, for a classifier;
    the model never sees them.  Raises: ValueError on arguments out of range; as `read_images` and `read_labels`.
    """

    num_symbols = 3
    relations = None
    lists_all = False
    tests_are_unseen = False  # the blank image is the same for all

    def __init__(
        self,
        train: str,
        test: str,
        train_labels: str,
        test_labels: str,
        rows: int = 28,
        columns: int = 28,
        known_share: float = 0.25,
    ) -> None:
        if min(rows, columns) < 2 or not 0 <= known_share <= 1:
            raise ValueError(
                f"got rows={rows}, columns={columns}, known_share={known_share}; expected at least 2 rows and columns, "
                "and a share from 0 (generation only) to 1 (inpainting only)"
            )
        self.rows, self.columns, self.known_share = rows, columns, known_share
        self.num_cells = rows * columns
        self.train_labels, self.test_labels = read_labels(train_labels), read_labels(test_labels)
        self._train, shown = read_images(train, self.num_cells), read_images(test, self.num_cells)
        for images, labels, path in ((self._train, self.train_labels, train), (shown, self.test_labels, test)):
            if len(images) != len(labels):
                raise ValueError(
                    f"got {len(images)} images in {path} and {len(labels)} labels; expected a label for every image"
                )
        top = self.halves[SIDES.index("top")]
        self._test = {"generation": one_each(torch.full_like(shown, UNKNOWN), shown)}
        self._test["inpainting"] = one_each(torch.where(top, shown, UNKNOWN), shown)

    @property
    def train(self) -> Puzzles:
        return one_each(torch.full((1, 1), UNKNOWN).expand_as(self._train), self._train)

    @property
    def test(self) -> dict[str, Puzzles]:
        return self._test

    @property
    def halves(self) -> Tensor:
        """The pixels of the top, bottom, left and right half, [4, L] bool."""
        row, column = torch.arange(self.num_cells) // self.columns, torch.arange(self.num_cells) % self.columns
        top, left = row < self.rows // 2, column < self.columns // 2
        return torch.stack([top, ~top, left, ~left])

    def is_solved(self, x: Tensor, y: Tensor) -> Tensor:
        """Whether y is an image that agrees with the known pixels of x. It need not look like the data."""
        return self.violations(x, y) == 0

    def violations(self, x: Tensor, y: Tensor) -> Tensor:
        """The number of known pixels that are changed, plus that of unknown pixels."""
        return (((x != UNKNOWN) & (x != y)) | (y == UNKNOWN)).sum(-1)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Show one half of a share of the images. Images have no symmetries here, so y does not change."""
        shows = torch.rand(len(batch.y), 1, generator=generator) < self.known_share
        side = torch.randint(len(SIDES), (len(batch.y),), generator=generator)
        return batch._replace(x=torch.where(shows & self.halves[side], batch.y, UNKNOWN))


def one_each(x: Tensor, y: Tensor) -> Puzzles:
    """Puzzles x [N, L] with one solution y [N, L] each."""
    return Puzzles(x, y, torch.arange(len(x) + 1))
