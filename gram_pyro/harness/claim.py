"""The trial of the claim: GRAM and its baselines on unseen puzzles, judged by the rules, and the verdict.

    results.json   per program its table on every test set and its scores per puzzle; the verdict
    results.md     all tables of results.json, and the verdict
    results.csv    a row per program, test set and width; width_SET.png, metrics against the number K of trajectories
"""

import shlex
from functools import partial

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from gram_pyro.evaluation.evaluate import Draw, evaluate
from gram_pyro.evaluation.metrics import Tally, join
from gram_pyro.evaluation.statistics import Estimate
from gram_pyro.evaluation.tables import counted, flat_rows, markdown, overview
from gram_pyro.evaluation.verdict import (
    Scores,
    Seed,
    diversity,
    diversity_text,
    gains,
    gains_text,
    is_collapsed,
    scores,
    verdict,
    verdict_text,
)
from gram_pyro.harness.programs import GRAM
from gram_pyro.harness.results import baseline_name, named, record
from gram_pyro.harness.trial import Judge
from gram_pyro.harness.tuned_noise import MARGINALS, is_noiseless, marginals, tune
from gram_pyro.plots.trial import width_figure
from gram_pyro.storage.atomic import write_atomically
from gram_pyro.tasks.base import Task, subset, unseen
from gram_pyro.training.learner import Learner
from gram_pyro.training.trainer import Trainer


class Claim(Judge):
    """Every program on every test set, at every width, and what that says of the claim."""

    def begin(self) -> None:
        most = self.config.evaluate.num_puzzles
        some = {name: subset(puzzles, most) for name, puzzles in unseen(self.task).items()}
        self.tests = {name: self.task.completed(puzzles) for name, puzzles in some.items()}
        self.tallies: dict[str, dict[str, Tally]] = {name: {} for name in self.tests}
        self.results: dict[str, dict] = {}
        self.rows: list[dict[str, object]] = []
        self.texts: list[str] = []

    def judge(self, name: str, learner: Learner, description: dict) -> None:
        by, seed = self.config.evaluate, self.config.seed
        depth, widths = by.num_segments, list(by.widths)
        for label, (draw, about) in samplers(name, learner, self.config, self.task, self.device).items():
            found = self.results[label] = description | {"tests": {}, "per_puzzle": {}} | about
            draw = partial(draw, **sampling(learner, by))
            for test, puzzles in self.tests.items():
                _, result, table = evaluate(draw, self.task, puzzles, depth, widths, seed, self.device)
                self.tallies[test][label] = result
                found["tests"][test], found["per_puzzle"][test] = table, record(result, max(widths))
                self.rows += flat_rows(label, test, table, widths)
                among = counted(table["num_puzzles"], "unseen puzzle")
                title = f"{label} on {among} '{test}', {counted(depth, 'segment')} deep"
                self.texts.append(f"{title}\n\n{markdown(table, widths)}")

    def tables(self) -> dict[str, list]:
        return {"results": self.rows}

    def summary(self) -> dict[str, object]:
        everything = {label: join([by_label[label] for by_label in self.tallies.values()]) for label in self.results}
        found, self.verdict, more = judged(self.results, everything, self.config.seed, max(self.config.evaluate.widths))
        self.texts.append(f"```text\n{self.verdict}\n{more}\n```\n")
        return {"programs": self.results, "verdict": found}

    def show(self) -> None:
        write_atomically(self.folder / "results.md", "\n\n".join(self.texts).encode())
        tests = {label: found["tests"] for label, found in self.results.items()}
        print(f"\n{overview(tests, max(self.config.evaluate.widths))}\n\n{self.verdict}")
        for test, by_program in self.tallies.items():
            title = f"{test}: {counted(self.tests[test].num_puzzles, 'unseen puzzle')}"
            width_figure(by_program, self.folder / f"width_{test}.png", title)


def sampling(learner: Learner, by: DictConfig) -> dict[str, object]:
    """Options of all samplers of a program: rows per chunk, and when a trajectory halts."""
    if by.get("halt_at") is None or not isinstance(learner, Trainer):
        return {"chunk": by.chunk}
    return {"chunk": by.chunk, "heads": learner.averaged_heads, "halt_at": by.halt_at}


def samplers(
    name: str, learner: Learner, config: DictConfig, task: Task, device: torch.device
) -> dict[str, tuple[Draw, dict]]:
    """The samplers of a program and their descriptions, by the name of their results.

    A recursion without noise is sampled as it is; with the noise that suits it best, which the verdict is about; and
    cell by cell. Without `baseline_deviations` it is only sampled as it is.
    """
    draws, by = {name: (learner.sample, {})}, config.evaluate
    if name != GRAM and by.get("baseline_deviations") and is_noiseless(learner):
        depth, deviations, options = by.num_segments, list(by.baseline_deviations), sampling(learner, by)
        found = tune(learner, task, deviations, by.num_puzzles, depth, config.seed, device, **options)
        about = {"kind": found.kind, "deviation": found.deviation, "tuning": found.tuning}
        draws[f"{name}, {found.kind}"] = (found.draw, {"baseline": about})
        draws[f"{name}, {MARGINALS}"] = (marginals(learner), {})
    return draws


BESIDE = (
    "{prior:{_target_:gram_pyro.priors.noiseless.Noiseless},guide:{_target_:guides.bootstrap.Bootstrap},"
    "rollout_loss:{_target_:gram_pyro.training.rollout_losses.Set},train:{rollouts_per_puzzle:1}}"
)


def baseline_command() -> str:
    """The command that trains this run together with a baseline."""
    if not HydraConfig.initialized() or any(o.startswith("resume=") for o in HydraConfig.get().overrides.task):
        return f"repeat the command of this run with baselines.deterministic='{BESIDE}' and another run_dir"
    hydra = HydraConfig.get()
    taken = ("baselines=", "baselines.deterministic=", "run_dir=", "evaluate.baseline_deviations=")
    kept = [override for override in hydra.overrides.task if not override.startswith(taken)]
    return shlex.join(["gram-pyro", hydra.job.name, *kept, f"baselines.deterministic={BESIDE}"])


def judged(results: dict[str, dict], tallies: dict[str, Tally], seed: int, width: int) -> tuple[dict, str, str]:
    """The verdict on this seed: for results.json, as text, and the text of the rest."""
    found: dict[str, Scores] = {label: scores(result, width) for label, result in tallies.items()}
    baseline = baseline_name(results)
    over = {label: gains(found["GRAM"], its) for label, its in found.items() if label != "GRAM"}
    seeds = [Seed(seed, named(baseline, results[baseline]["baseline"]), over.pop(baseline))] if baseline else []
    command, several = None if seeds else baseline_command(), diversity(tallies["GRAM"], width)
    beside = [f"  beside it, over {label}: {gains_text(gain, width)}" for label, gain in over.items()]
    summary = {
        "word": verdict(seeds),
        "seeds": [{"baseline": s.baseline, "says": s.says, "gains": as_dicts(s.gains)} for s in seeds],
        "beside": {label: as_dicts(gain) for label, gain in over.items()},
        "diversity": as_dicts(several) | {"collapsed": is_collapsed(several)},
    }
    summary |= {"to_train_a_baseline": command} if command else {}
    return summary, verdict_text(seeds, width, command), "\n".join([*beside, diversity_text(several, width)])


def as_dicts(estimates: dict[str, Estimate]) -> dict[str, dict]:
    return {name: estimate._asdict() for name, estimate in estimates.items()}
