"""The exact referee: it finds every solution of a puzzle, the nearest one, or proves that there is none.

    count      |S|, up to a limit
    nearest    argmax_{y in S} sum_j score_j [candidate j is in y]

Variables are candidates; each group is one CP-SAT constraint. The solver runs in one thread with a fixed seed, so equal
questions get equal answers.
Source: OR-tools CP-SAT, Perron and Didier; pip install "gram_pyro[exact]".
"""

from collections.abc import Sequence

from gram_pyro.tasks.candidates.puzzle import BLANK, IN, OUT, CandidatePuzzle
from gram_pyro.tasks.candidates.search import GivenUp

try:
    from ortools.sat.python import cp_model
except ImportError as problem:  # an extra
    raise ImportError('the exact referee needs OR-tools; write pip install "gram_pyro[exact]"') from problem

UNIT = 1_000_000  # a score is rounded to this part of a nat
LOWEST = -1_000.0  # scores below it, -inf among them, count as this


class Referee:
    """Questions about one puzzle.  Args: seconds, for the search of one answer; None: as long as it takes."""

    def __init__(self, puzzle: CandidatePuzzle, seconds: float | None = None) -> None:
        self.model, self.seconds = cp_model.CpModel(), seconds
        self.chosen = [self._variable(role) for role in puzzle.roles]
        for group in puzzle.all_groups:
            members = [self.chosen[c] for c in group.candidates]
            (self.model.add_exactly_one if group.exact else self.model.add_at_most_one)(members)

    def _variable(self, role: int) -> cp_model.IntVar:
        return self.model.new_bool_var("") if role == BLANK else self.model.new_constant(int(role == IN))

    def solutions(self, limit: int) -> list[list[int]]:
        """Up to `limit` solutions y [L C], in the order they are found; all of them if fewer are returned.

        Raises: ValueError if limit is below 1; GivenUp if the time is over before.
        """
        if limit < 1:
            raise ValueError(f"got limit={limit}; expected 1 or more")
        self.model.clear_objective()
        solver, kept = self._solver(), _Kept(self.chosen, limit)
        solver.parameters.enumerate_all_solutions = True
        self._check(solver.solve(self.model, kept), stopped=len(kept.found) >= limit)
        return kept.found

    def count(self, limit: int) -> int:
        """The number of solutions, at most `limit`.  Raises: as `solutions`."""
        return len(self.solutions(limit))

    def nearest(self, score: Sequence[float]) -> list[int] | None:
        """The solution y [L C] of the greatest score, a number per candidate (log-probabilities, nats); None if there
        is no solution.

        Raises: ValueError on a wrong number of scores or NaN; GivenUp if the time is over before it is proved.
        """
        if len(score) != len(self.chosen) or any(s != s for s in score):
            raise ValueError(f"got {len(score)} scores; expected {len(self.chosen)}, none of them NaN")
        whole = [round(max(s, LOWEST) * UNIT) for s in score]
        self.model.maximize(cp_model.LinearExpr.weighted_sum(self.chosen, whole))
        solver = self._solver()
        if self._check(solver.solve(self.model)) == cp_model.INFEASIBLE:
            return None
        return [IN if solver.boolean_value(variable) else OUT for variable in self.chosen]

    def _solver(self) -> cp_model.CpSolver:
        solver = cp_model.CpSolver()
        solver.parameters.num_workers, solver.parameters.random_seed = 1, 0
        if self.seconds is not None:
            solver.parameters.max_time_in_seconds = self.seconds
        return solver

    def _check(self, status: int, stopped: bool = False) -> int:
        """Raises: GivenUp if the search did not come to an end."""
        if status not in (cp_model.OPTIMAL, cp_model.INFEASIBLE) and not stopped:
            raise GivenUp(f"no answer after {self.seconds} seconds; give more, or a smaller limit")
        return status


class _Kept(cp_model.CpSolverSolutionCallback):
    """Keeps solutions, and stops the search when there are enough."""

    def __init__(self, chosen: Sequence[cp_model.IntVar], limit: int) -> None:
        super().__init__()
        self.chosen, self.limit = chosen, limit
        self.found: list[list[int]] = []

    def on_solution_callback(self) -> None:
        self.found.append([IN if self.boolean_value(variable) else OUT for variable in self.chosen])
        if len(self.found) >= self.limit:
            self.stop_search()
