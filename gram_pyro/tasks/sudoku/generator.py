"""Random Sudoku puzzles with complete solution lists, and a split into train and test by symmetry class.

A puzzle is *thin* for a bound m if it has at most m solutions, and more without any one of its clues. m = 1 gives the
minimal puzzles with one solution. For several solutions, m is drawn log-uniformly from 2..max_solutions,

    P(m) = log((m + 1) / m) / log((max_solutions + 1) / 2),

and puzzles with one solution are drawn again for the same m. The number of solutions is at most m and close to it.
Boards come from a depth-first search with shuffled digits: every board can occur, not exactly equally often. The search
hardly ever backtracks: a board of 9x9 takes 2 ms, of 12x12 6 ms, of 16x16 20 ms, of 25x25 140 ms. Making a puzzle thin
takes 10 ms for 9x9, 100 ms for 12x12, 7 s to more than 30 s for 16x16.
Puzzles are drawn in chunks, each from its own random stream. Source: ours.
"""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from random import Random

import numpy as np
import torch
from torch import Tensor

from gram_pyro.tasks.base import Puzzles, concatenate
from gram_pyro.tasks.sudoku.rules import Geometry
from gram_pyro.tasks.workers import worker_map

CHUNK = 100  # puzzles drawn from one random stream
LARGEST_THIN = 12  # the largest side for which making a puzzle thin takes well under a second

Solved = tuple[list[int], list[list[int]]]  # clues and all their solutions


def random_board(geometry: Geometry, rng: Random) -> list[int]:
    """A full board."""
    return geometry.read(next(geometry.search(geometry.planes([0] * geometry.num_cells), rng.shuffle)))


def thin(
    geometry: Geometry,
    board: Sequence[int],
    most: int,
    rng: Random,
    fewest: int = 0,
    start: Sequence[int] | None = None,
) -> Solved:
    """Remove clues from a full board, or from the puzzle `start` whose only solution it is, in random order.

    A clue is removed if at most `most` solutions remain, until `fewest` clues are left. Solutions gained by removing
    clue c differ from the board at c; only these are searched for. One pass is enough: a clue that was needed is still
    needed when others are removed.
    """
    clues, solutions = list(board if start is None else start), [list(board)]
    planes = geometry.planes(clues)
    for cell in rng.sample(range(geometry.num_cells), geometry.num_cells):
        if not clues[cell]:
            continue
        bit, digit = 1 << cell, board[cell] - 1
        trial = [plane | bit for plane in planes]
        trial[digit] ^= bit
        gained = list(islice(geometry.search(trial), most + 1 - len(solutions)))
        if len(solutions) + len(gained) <= most and clues.count(0) < geometry.num_cells - fewest:
            trial[digit] ^= bit
            planes = trial
            clues[cell] = 0
            solutions += map(geometry.read, gained)
    return clues, sorted(solutions)


def draw_bound(max_solutions: int, rng: Random) -> int:
    """m in 2..max_solutions with P(m) proportional to log((m + 1) / m)."""
    return min(int(2 * ((max_solutions + 1) / 2) ** rng.random()), max_solutions)  # min: rounding at the upper end


def minimal(geometry: Geometry, rng: Random) -> Solved:
    """A puzzle with one solution and no superfluous clue."""
    return thin(geometry, random_board(geometry, rng), 1, rng)


def several(geometry: Geometry, rng: Random, max_solutions: int = 50) -> Solved:
    """A puzzle with 2..max_solutions solutions."""
    bound = draw_bound(max_solutions, rng)
    while True:
        clues, solutions = thin(geometry, random_board(geometry, rng), bound, rng)
        if len(solutions) > 1:
            return clues, solutions


def generate(
    geometry: Geometry, count: int, max_solutions: int = 1, seed: int = 0, first_chunk: int = 0, workers: int = 2
) -> Puzzles:
    """`count` puzzles of the stream of `seed`, from chunk `first_chunk` on.

    They are minimal if max_solutions = 1, and otherwise have 2..max_solutions solutions. Classes may repeat. The result
    does not depend on `workers`.

    Raises: ValueError if count or max_solutions is below 1.
    """
    if count < 1 or max_solutions < 1:
        raise ValueError(f"got count={count}, max_solutions={max_solutions}; expected 1 or more of both")
    chunks = range(first_chunk, first_chunk - (-count // CHUNK))
    work = partial(_chunk, geometry.n, geometry.box, max_solutions, seed)
    with worker_map(min(workers, len(chunks))) as each:
        drawn = [item for chunk in each(work, chunks) for item in chunk]
    return Puzzles.from_lists(*zip(*drawn[:count], strict=True))


def _chunk(n: int, box: tuple[int, int], max_solutions: int, seed: int, chunk: int) -> list[Solved]:
    geometry = Geometry(n, box)
    rng = Random(f"{seed}/{max_solutions}/{chunk}")  # hashed by SHA-512, so streams are unrelated
    draw = minimal if max_solutions == 1 else partial(several, max_solutions=max_solutions)
    return [draw(geometry, rng) for _ in range(CHUNK)]


def generate_split(
    geometry: Geometry, num_train: int, num_test: int, max_solutions: int = 1, seed: int = 0, workers: int = 2
) -> tuple[Puzzles, Puzzles]:
    """Train and test puzzles of one stream, without a common symmetry class.

    A puzzle is in test iff `is_test_class` of its hash. So the split depends on the class alone: every train set is
    disjoint from every test set, for all seeds. Test has one puzzle per hash; train may repeat a class. Small boards
    may have too few classes (n = 4: 36 classes of minimal puzzles): drawing stops when a round gives no new test class,
    and test then has fewer than `num_test` puzzles.

    Raises: ValueError if the board is so small that all its classes are test classes.
    """
    chunks = -(-max(3 * num_train // 2, 3 * num_test, 1) * 11 // 10 // CHUNK)  # a tenth more: mostly one round
    drawn: list[Puzzles] = []
    num_found = -1
    while True:
        drawn.append(generate(geometry, chunks * CHUNK, max_solutions, seed, len(drawn) * chunks, workers))
        puzzles = concatenate(drawn)
        hashes = symmetry_hash(puzzles.x, geometry.relations)
        held_out = is_test_class(hashes)
        train = np.flatnonzero(~held_out)[:num_train]
        first = np.sort(np.unique(hashes, return_index=True)[1])  # the first puzzle of every class
        test = first[held_out[first]][:num_test]
        saturated = len(test) == num_found
        if len(train) == num_train and (len(test) == num_test or saturated):
            return puzzles.select(torch.from_numpy(train)), puzzles.select(torch.from_numpy(test))
        if saturated and len(train) == 0:
            raise ValueError(f"got n={geometry.n}, which has too few symmetry classes to split; write a larger n")
        num_found = len(test)


def is_test_class(hashes: np.ndarray) -> np.ndarray:
    """Whether a class is set aside for tests: one in three.  Shapes: [N] uint64 -> [N] bool."""
    return hashes % np.uint64(3) == 0


def symmetry_hash(x: Tensor, relations: Tensor) -> np.ndarray:
    """An invariant of the symmetry class of each puzzle, by Weisfeiler-Lehman colour refinement.

        c_i <- mix(k_0 c_i + sum_r k_r sum_{j in r(i)} mix(c_j)),   r = row, column, box, same digit
        h(x) = H(row, column) + H(column, row),   H = mix(sum_i mix(c_i)),   arithmetic modulo 2^64

    c_i starts as blank or clue, so the hash does not depend on the names of digits; nor on the order of rows and
    columns, because sums are symmetric; nor on transposition, because h is symmetric. Puzzles of one class ALWAYS have
    equal hashes. Puzzles of different classes may collide (WL is not complete), so removing from test every hash that
    occurs in train is conservative: it may remove too much, but never leaves a shared class. Collisions are rare for
    puzzles. Full boards all collide, for every cell has the same surroundings: do not hash solutions.

    Shapes: x [N, L] int, relations [3, L, L] bool (each the "same unit" relation) -> [N] uint64.
    Source: Weisfeiler and Leman (1968); multiset hash by sums of mixed values (splitmix64, Steele et al. 2014): ours.
    """
    same = (relations | torch.eye(x.shape[1], dtype=torch.bool)).numpy()
    member = np.stack([np.unique(r, axis=0) for r in same]).astype(np.uint64)  # [3, n, L]
    parts = np.array_split(x.numpy(), len(x) // 2000 + 1)  # bounds the memory
    return np.concatenate([_hash(part, member) + _hash(part, member[[1, 0, 2]]) for part in parts])


def _hash(x: np.ndarray, member: np.ndarray) -> np.ndarray:
    digits = (x[:, None] == np.arange(1, member.shape[1] + 1)[:, None]).astype(np.uint64)  # [N, n, L]
    colour = mix((x > 0).astype(np.uint64))
    for _ in range(ROUNDS):
        mixed = mix(colour)
        colour = KEYS[0] * colour + KEYS[4] * ((digits @ mixed[:, :, None]) * digits).sum(1)
        for key, units in zip(KEYS[1:4], member, strict=True):
            colour += key * (mixed @ units.T @ units)
        colour = mix(colour)
    return mix(mix(colour).sum(1))


def mix(z: np.ndarray) -> np.ndarray:
    """splitmix64, a bijection of the 64-bit integers."""
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


ROUNDS = 8  # the colours of Sudoku puzzles are stable much earlier
KEYS = mix(np.arange(5, dtype=np.uint64)) | np.uint64(1)  # odd: multiplication loses nothing
