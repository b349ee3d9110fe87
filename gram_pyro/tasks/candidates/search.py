"""Solutions by depth-first search with propagation, fast enough to be asked in every step of training.

    possible   candidates that may still be in, one bit each
    placed     those that are in; a group "exactly one" with one possible candidate has it placed

`near` places the most probable open candidate and takes it back on a contradiction. So it finds the first solution in
the lexicographic order of the ranking, as `Geometry.nearest` does for Sudoku. `referee.py` counts, and finds the best.
Source: ours; the choice of the narrowest group: Knuth, Dancing Links (2000).
"""

import math
from collections.abc import Iterator, Sequence

from gram_pyro.tasks.candidates.puzzle import IN, OUT, CandidatePuzzle


class GivenUp(TimeoutError):
    """The search was not over when it had to end."""


Groups = Sequence[tuple[bool, Sequence[int]]]  # exact, candidates


class Search:
    """The rules of a puzzle, as bits.  Args: num_candidates N; groups, those of the cells among them."""

    def __init__(self, num_candidates: int, groups: Groups) -> None:
        self.full = (1 << num_candidates) - 1
        keep = [self.full] * num_candidates
        self.exact: list[int] = []
        for exact, candidates in groups:
            mask = sum(1 << c for c in candidates)
            if exact:
                self.exact.append(mask)
            for c in candidates:
                keep[c] &= ~mask | (1 << c)
        self.keep = {1 << c: kept for c, kept in enumerate(keep)}

    @classmethod
    def of(cls, puzzle: CandidatePuzzle) -> "Search":
        return cls(len(puzzle.roles), puzzle.all_groups)

    def solutions(self, roles: Sequence[int], limit: float = math.inf) -> Iterator[list[int]]:
        """Every solution y [N] of the clues x = `roles` [N].  Raises: GivenUp after `limit` steps."""
        stack, steps = [self._start(roles)], 0
        while stack:
            steps += 1
            if steps > limit:
                raise GivenUp(f"no answer after {limit} steps; give more")
            possible, placed = self._propagate(*stack.pop())
            if possible == placed:
                if possible:
                    yield self._read(placed)
                continue
            group = min((m for m in self._open(possible, placed)), key=int.bit_count, default=possible & ~placed)
            bit = group & -group
            stack += [(possible & ~bit, placed), (possible & self.keep[bit], placed | bit)]

    def near(self, roles: Sequence[int], ranking: Sequence[int], limit: int = 1000) -> list[int] | None:
        """The first solution where candidates are chosen in the order `ranking` [N]; None if there is none, or none
        after `limit` choices."""
        stack, choices = [(*self._start(roles), 0)], 0
        while stack:
            possible, placed, rank = stack.pop()
            possible, placed = self._propagate(possible, placed)
            if possible == placed:
                if possible:
                    return self._read(placed)
                continue
            if choices == limit:
                return None
            choices += 1
            open_ = possible & ~placed
            while not open_ >> ranking[rank] & 1:
                rank += 1
            bit = 1 << ranking[rank]
            stack += [(possible & ~bit, placed, rank), (possible & self.keep[bit], placed | bit, rank)]
        return None

    def _start(self, roles: Sequence[int]) -> tuple[int, int]:
        possible = self.full
        for c, role in enumerate(roles):
            possible &= ~(1 << c) if role == OUT else self.full
        placed = 0
        for c, role in enumerate(roles):
            if role == IN:
                possible, placed = possible & self.keep[1 << c], placed | 1 << c
        return possible, placed

    def _open(self, possible: int, placed: int) -> Iterator[int]:
        """What is possible of every group "exactly one" that has none placed."""
        return (mask & possible for mask in self.exact if not mask & placed)

    def _propagate(self, possible: int, placed: int) -> tuple[int, int]:
        """To a fixed point; (0, 0) on a contradiction.  A placed candidate that is impossible is one."""
        while True:
            if placed & ~possible:
                return 0, 0
            before = placed
            for mask in self.exact:
                if not mask & placed:
                    left = mask & possible
                    if not left & (left - 1):
                        if not left:
                            return 0, 0
                        possible, placed = possible & self.keep[left], placed | left
            if placed == before:
                return possible, placed

    def _read(self, placed: int) -> list[int]:
        return [IN if placed >> c & 1 else OUT for c in range(len(self.keep))]
