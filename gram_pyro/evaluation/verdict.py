"""The verdict on the claim that trained noise (GRAM) answers better than noise added to a recursion trained without it.

The baseline is the same recursion trained without noise, with the same data and budget. It is sampled with random
starts or with fixed noise, whichever does better on tuning puzzles, at the same K and number of segments.

    accuracy = mean_b (a_b - a'_b)                                a, a': share of the K answers that are right
    coverage = sum_b (c_b - c'_b) / sum_b ceiling_b               c, c': coverage@K, over puzzles with several solutions

Both are paired over puzzles (GRAM minus baseline). The puzzles of a symmetry class count as one observation. A limit is
3 standard errors from the mean, or more by Student's t if there are few puzzles. GRAM is

    superior      if the lower limit is above 0                   inferior     if the upper limit is below -margin
    not inferior  if the lower limit is above -margin             undecided    otherwise

A seed supports the claim if GRAM is superior in one of the two and not inferior in the other. It opposes the claim if
GRAM is inferior in one, or gains less than the margin in both. If no answer differs, the error is that of one differing
answer, so that the limit is the rule of three: 3 in K B answers.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gram_pyro.evaluation.metrics import Tally, ceiling, per_puzzle
from gram_pyro.evaluation.statistics import Estimate, ratio

THRESHOLD = 3.0  # standard errors
MIN_SEEDS = 3  # training seeds of a claim
MARGINS = {"accuracy": 0.01, "coverage": 0.02}  # 1 point; 2 % of the ceiling
TITLES = {"accuracy": "one answer right", "coverage": "coverage@{}"}
SUPPORTED, FALSIFIED, NOT_SUPPORTED = "SUPPORTED", "FALSIFIED", "NOT SUPPORTED"
NOT_ENOUGH_SEEDS, NO_BASELINE = "NOT ENOUGH SEEDS", "NO BASELINE"
SENTENCES = {
    SUPPORTED: "in every seed GRAM beats the baseline in one criterion and is not inferior in the other",
    FALSIFIED: "in every seed GRAM is inferior in one criterion, or gains less than the margin in both",
    NOT_SUPPORTED: "the seeds do not agree, or their errors are too large to tell",
    NOT_ENOUGH_SEEDS: f"a claim needs {MIN_SEEDS} training seeds",
    NO_BASELINE: "nothing was trained to compare GRAM with",
}
SAYS = {"supports": "speaks for it", "opposes": "speaks against it", "cannot tell": "cannot tell"}


class Scores(NamedTuple):
    """The scores of K answers by one method.  Shapes: all [B]; vote is 1 where the most frequent answer is right."""

    width: int  # K
    accuracy: Tensor
    coverage: Tensor
    vote: Tensor
    num_solutions: Tensor
    groups: Tensor | None = None


def scores(result: Tally, width: int) -> Scores:
    """The scores of judged answers at K = width."""
    values = per_puzzle(result, width)
    chosen = (values[name] for name in ("accuracy", "coverage", "vote"))
    return Scores(width, *chosen, result.num_solutions, result.groups)


def floored(estimate: Estimate, width: int) -> Estimate:
    """The estimate with an error of at least one answer in one group."""
    return estimate._replace(se=max(estimate.se, 1 / (width * estimate.num_groups)))


def gains(gram: Scores, other: Scores) -> dict[str, Estimate]:
    """The gains of GRAM over another method on the same puzzles; coverage only if some have several solutions.

    Raises: ValueError if the puzzles or the widths differ.
    """
    if gram.width != other.width or not torch.equal(gram.num_solutions.nan_to_num(), other.num_solutions.nan_to_num()):
        raise ValueError(
            f"got {len(gram.accuracy)} puzzles at K={gram.width} and {len(other.accuracy)} at K={other.width}; "
            "expected the same puzzles and K; write the same task and evaluate.* for both"
        )
    found = {"accuracy": ratio(gram.accuracy - other.accuracy, groups=gram.groups)}
    several = gram.num_solutions > 1
    if several.any():
        best = ceiling(gram.num_solutions[several], gram.width)
        groups = None if gram.groups is None else gram.groups[several]
        found["coverage"] = ratio((gram.coverage - other.coverage)[several], best, groups)
    return {name: floored(estimate, gram.width) for name, estimate in found.items()}


def gains_of_means(gram: Mapping[str, Mapping], other: Mapping[str, Mapping], width: int) -> dict[str, Estimate]:
    """As `gains`, from tables of `metrics.report` by test set, for results without numbers per puzzle.

    The difference is then not paired: se^2 = se_gram^2 + se_other^2, too large if the same puzzles are hard for both.
    Coverage is over test sets with a ceiling below 1, including their puzzles with one solution.
    Raises: ValueError if a table lacks the width.
    """
    at, found = str(width), {}
    for table in (*gram.values(), *other.values()):
        if at not in table["accuracy"]:
            raise ValueError(
                f"got widths {', '.join(table['accuracy'])}; expected {at} among them; write another width"
            )
    for name in MARGINS:
        pairs = [(gram[test], other[test]) for test in gram if name == "accuracy" or gram[test]["ceiling"][at] < 1]
        if not pairs:
            continue
        size = [mine["num_puzzles"] for mine, _ in pairs]
        best = [mine["ceiling"][at] if name == "coverage" else 1.0 for mine, _ in pairs]
        total = sum(n * b for n, b in zip(size, best, strict=True))
        mean = sum(n * (mine[name][at] - its[name][at]) for n, (mine, its) in zip(size, pairs, strict=True))
        squares = [mine[f"{name}_se"][at] ** 2 + its[f"{name}_se"][at] ** 2 for mine, its in pairs]
        se = sum(n**2 * square for n, square in zip(size, squares, strict=True)) ** 0.5
        count = min(sum(pair[side]["num_puzzles"] for pair in pairs) for side in (0, 1))
        found[name] = floored(Estimate(mean / total, se / total, count), width)
    return found


def standing(name: str, gain: Estimate) -> str:
    """Superior, not inferior, inferior or undecided, see above."""
    low, high = gain.limits(THRESHOLD)
    if low > 0:
        return "superior"
    if low > -MARGINS[name]:
        return "not inferior"
    return "inferior" if high < -MARGINS[name] else "undecided"


class Seed(NamedTuple):
    """One training seed: the gains of GRAM over the baseline."""

    seed: int
    baseline: str
    gains: Mapping[str, Estimate]

    @property
    def supports(self) -> bool:
        standings = {standing(name, gain) for name, gain in self.gains.items()}
        return "superior" in standings and standings <= {"superior", "not inferior"}

    @property
    def opposes(self) -> bool:
        if self.supports:
            return False
        inferior = any(standing(name, gain) == "inferior" for name, gain in self.gains.items())
        return inferior or all(gain.limits(THRESHOLD)[1] < MARGINS[name] for name, gain in self.gains.items())

    @property
    def says(self) -> str:
        return "supports" if self.supports else "opposes" if self.opposes else "cannot tell"


def verdict(seeds: Sequence[Seed]) -> str:
    """One of the words above."""
    if not seeds:
        return NO_BASELINE
    if len({seed.seed for seed in seeds}) < MIN_SEEDS:
        return NOT_ENOUGH_SEEDS
    if all(seed.supports for seed in seeds):
        return SUPPORTED
    return FALSIFIED if all(seed.opposes for seed in seeds) else NOT_SUPPORTED


def gains_text(found: Mapping[str, Estimate], width: int) -> str:
    """Gains in per cent, ± one standard error; of coverage in per cent of a perfect sampler's."""
    return "; ".join(
        f"{TITLES[name].format(width)} {100 * gain.mean:+.2f} ± {100 * gain.se:.2f} %, {standing(name, gain)}"
        for name, gain in found.items()
    )


def verdict_text(seeds: Sequence[Seed], width: int, command: str | None = None) -> str:
    """The verdict in one line, and a line per seed.  Args: command that trains a baseline, shown if there is none."""
    word = verdict(seeds)
    head = f"VERDICT: {word} - {SENTENCES[word]}"
    if word == NOT_ENOUGH_SEEDS:
        head += "; to pool them: gram-pyro verdict runs=[FOLDER,FOLDER,FOLDER]"
    told = [f"  seed {s.seed} {SAYS[s.says]}: {gains_text(s.gains, width)}; over {s.baseline}" for s in seeds]
    if word == NO_BASELINE and command:
        told = [f"  to train a baseline: {command}"]
    return "\n".join([head, *told])


def diversity(result: Tally, width: int) -> dict[str, Estimate]:
    """A diagnostic that does not enter the verdict: the gain of `width` answers over one.

    any: the share of puzzles with a right answer; distinct: the number of distinct right answers. Both gains are 0 if
    all answers are equal.
    """
    values, several = per_puzzle(result, width), result.num_solutions > 1
    found = {"any": ratio(values["any"] - values["accuracy"], groups=result.groups)}
    if several.any():
        groups = None if result.groups is None else result.groups[several]
        found["distinct"] = ratio((values["distinct"] - values["accuracy"])[several], groups=groups)
    return found


def is_collapsed(found: Mapping[str, Estimate]) -> bool:
    """Whether puzzles with several solutions (or all puzzles, if there are none) get one answer only."""
    gain = found.get("distinct", found["any"])
    return not gain.mean > THRESHOLD * gain.se


def diversity_text(found: Mapping[str, Estimate], width: int) -> str:
    """The diagnostic in a line."""
    titles = {"any": f"any of {width} right", "distinct": f"distinct right answers in {width}"}
    parts = [f"{titles[name]} {gain.mean:+.4f} ± {gain.se:.4f}" for name, gain in found.items()]
    word = "collapsed, or hardly ever right" if is_collapsed(found) else "not collapsed"
    return f"  {word}: {', '.join(parts)}, over one answer"
