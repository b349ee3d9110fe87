"""A trial of the claim: train GRAM and its rivals on a task, evaluate them on unseen puzzles, and give the verdict.

The run folder receives config.yaml, and per program a checkpoint and a metrics table; then results.md (all tables),
results.json, results.csv and figures. A run that is interrupted continues in the same folder; a finished program is
not trained again, and what was drawn for its evaluation, which draws.jsonl keeps until the end, is not drawn again.
"""

import logging
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path

import pyro
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from gram_pyro.evaluation.evaluate import Draw, evaluate
from gram_pyro.evaluation.metrics import Tally, join
from gram_pyro.evaluation.statistics import Estimate
from gram_pyro.evaluation.tables import flat_rows, markdown, overview
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
from gram_pyro.harness import run_folder, trusted
from gram_pyro.harness.atomic import write_atomically
from gram_pyro.harness.baseline import MARGINALS, has_baseline, marginals, tune
from gram_pyro.harness.build import build_learner, choose_device
from gram_pyro.harness.check_config import check_given, check_settings
from gram_pyro.harness.checkpoint import start_from
from gram_pyro.harness.command import plain_errors
from gram_pyro.harness.commit import commit
from gram_pyro.harness.fit import fit
from gram_pyro.harness.journal import identity, journal_of, keep_draws_of
from gram_pyro.harness.load import weights_file
from gram_pyro.harness.loggers import open_logger
from gram_pyro.harness.results import baseline_name, named, record, write_json, write_rows
from gram_pyro.harness.resume import claim_folder, resumed
from gram_pyro.plots.trial import training_figure, width_figure
from gram_pyro.tasks.base import Task, by_size, subset, unseen
from gram_pyro.training.allocator import keep_freed_memory
from gram_pyro.training.learner import Learner
from gram_pyro.training.parallel import is_first, joined
from gram_pyro.training.precision import choose_precision
from gram_pyro.training.trainer import Trainer

TABLES = "results.md"

log = logging.getLogger(__name__)


def train(name: str, config: DictConfig, task: Task, folder: Path, device: torch.device) -> tuple[Learner, dict]:
    """Build one program, train it (or continue, or find it finished)."""
    pyro.set_rng_seed(config.seed)
    learner = build_learner(config, task, device)
    sizes = by_size(unseen(task).values())
    most = config.watch.num_puzzles and max(1, config.watch.num_puzzles // len(sizes))  # null: all
    watched = [subset(puzzles, most) for puzzles in sizes]
    description = {
        "config": OmegaConf.to_container(config, resolve=True),
        "commit": commit(),
        "device": str(device),
        "precision": choose_precision(config.train.precision, device),
        "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in learner.program.items()},
    }
    path = folder / f"{name}.safetensors"
    if config.start is not None and not path.exists():
        description["before"] = start_from(weights_file(config.start), learner)
    logger = open_logger(config, folder, name) if is_first() else None
    return learner, fit(learner, task, watched, path, description, device, config.seed, config.watch.every, logger)


@contextmanager
def evaluations(config: DictConfig, folder: Path) -> Iterator[Callable[[str], AbstractContextManager]]:
    """Around all of a run. Yields: a context for the evaluation of each program, by name, after its training; what is
    drawn in it is kept until the end of the run."""
    with ExitStack() as until_the_end:
        journal = cache(lambda: until_the_end.enter_context(journal_of(folder / "draws.jsonl", identity(config))))
        yield lambda name: keep_draws_of(folder / f"{name}.safetensors", journal())


def rival_config(config: DictConfig, replacements: DictConfig) -> DictConfig:
    """The configuration of a rival: components (prior, guide, ...) replaced, single settings (of train, ...) changed,
    all else equal.

    The rival of a peer is a recursion, unless `replacements` names a peer.
    Its weights are at random unless they name a start.
    """
    rival = config.copy()
    rival.start = None
    if "peer" in rival:
        rival.peer = None
    for group, choice in replacements.items():
        is_settings = OmegaConf.is_dict(choice) and "_target_" not in choice and OmegaConf.is_dict(rival.get(group))
        rival[group] = OmegaConf.merge(rival[group], choice) if is_settings else choice
    return rival


def sampling(learner: Learner, by: DictConfig) -> dict[str, object]:
    """Options that all samplers of a program are given: rows at once, and when a trajectory halts."""
    if by.get("halt_at") is None or not isinstance(learner, Trainer):
        return {"chunk": by.chunk}
    return {"chunk": by.chunk, "heads": learner.averaged_heads, "halt_at": by.halt_at}


def samplers(
    name: str, learner: Learner, config: DictConfig, task: Task, device: torch.device
) -> dict[str, tuple[Draw, dict]]:
    """How a program is sampled, and what else is to be known of it, by the name of its results.

    A rival without noise is sampled as it is; with the noise that suits it best, which is the baseline of the verdict;
    and cell by cell. Without `baseline_deviations` it is sampled as it is only.
    """
    draws, by = {name: (learner.sample, {})}, config.evaluate
    if name != "GRAM" and by.get("baseline_deviations") and has_baseline(learner):
        depth, deviations, options = by.num_segments, list(by.baseline_deviations), sampling(learner, by)
        found = tune(learner, task, deviations, by.num_puzzles, depth, config.seed, device, **options)
        about = {"kind": found.kind, "deviation": found.deviation, "tuning": found.tuning}
        draws[f"{name}, {found.kind}"] = (found.draw, {"baseline": about})
        draws[f"{name}, {MARGINALS}"] = (marginals(learner), {})
    return draws


BESIDE = "{prior:{_target_:gram_pyro.priors.noiseless.Noiseless},guide:{_target_:guides.bootstrap.Bootstrap}}"


def baseline_command() -> str:
    """What trains this run with a baseline beside it."""
    if not HydraConfig.initialized() or any(o.startswith("resume=") for o in HydraConfig.get().overrides.task):
        return f"repeat the command of this run with rivals.deterministic='{BESIDE}' and another run_dir"
    hydra, taken = HydraConfig.get(), ("rivals.deterministic=", "run_dir=", "evaluate.baseline_deviations=")
    kept = [override for override in hydra.overrides.task if not override.startswith(taken)]
    return shlex.join(["gram-pyro", hydra.job.name, *kept, f"rivals.deterministic={BESIDE}"])


def judged(results: dict[str, dict], tallies: dict[str, Tally], seed: int, width: int) -> tuple[dict, str, str]:
    """The verdict on this seed: for results.json, in sentences, and what else is to be known beside it."""
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


def run(config: DictConfig) -> None:
    folder, device = claim_folder(config), choose_device(config.device)
    if run_folder.is_finished(folder):
        return
    task = instantiate(config.task)
    widths = list(config.evaluate.widths)
    programs = {"GRAM": config} | {name: rival_config(config, r) for name, r in config.rivals.items() if r}
    tests = {name: subset(puzzles, config.evaluate.num_puzzles) for name, puzzles in unseen(task).items()}
    tallies: dict[str, dict[str, Tally]] = {name: {} for name in tests}
    results, rows, texts = {}, [], []
    with evaluations(config, folder) as evaluation:
        for name, program in programs.items():
            learner, description = train(name, program, task, folder, device)
            log.info("%s: %d updates in %.0f s on %s", name, description["updates"], description["seconds"], device)
            with evaluation(name), learner.settings.autocast(device):
                for label, (draw, about) in samplers(name, learner, config, task, device).items():
                    results[label] = description | {"tests": {}, "per_puzzle": {}} | about
                    draw = partial(draw, **sampling(learner, config.evaluate))
                    for test, puzzles in tests.items():
                        depth = config.evaluate.num_segments
                        _, result, table = evaluate(draw, task, puzzles, depth, widths, config.seed, device)
                        tallies[test][label] = result
                        results[label]["tests"][test] = table
                        results[label]["per_puzzle"][test] = record(result, max(widths))
                        rows += flat_rows(label, test, table, widths)
                        texts.append(
                            f"{label} on {table['num_puzzles']} unseen puzzles '{test}', {depth} segments deep\n\n"
                            f"{markdown(table, widths)}"
                        )
            write_rows(folder / "results.csv", rows)
        everything = {label: join([by_label[label] for by_label in tallies.values()]) for label in results}
        summary, text, more = judged(results, everything, config.seed, max(widths))
        write_json(folder / run_folder.RESULTS, {"programs": results, "verdict": summary})  # before what may fail
    write_atomically(folder / TABLES, "\n\n".join([*texts, f"```text\n{text}\n{more}\n```\n"]).encode())
    print(f"\n{overview({label: result['tests'] for label, result in results.items()}, max(widths))}\n\n{text}")

    training_figure({name: folder / f"{name}.csv" for name in programs}, folder / "training.png")
    for test, by_program in tallies.items():
        width_figure(by_program, folder / f"width_{test}.png", f"{test}: {tests[test].num_puzzles} unseen puzzles")
    print(f"\nevery number, figures and checkpoints: {folder} ({TABLES}, {run_folder.RESULTS}, *.png, *.safetensors)")


def run_trial(config: DictConfig, script: str, work: Callable[[DictConfig], None] = run) -> None:
    """What `experiments/SCRIPT.py` does: its work, with errors and interruptions in one sentence."""
    pyro.settings.set(module_local_params=True)  # several programs are trained in one process
    pyro.enable_validation(False)
    keep_freed_memory()
    try:
        with plain_errors():
            check_given(config)
            config = resumed(config)
            check_settings(config)
            if is_first():
                run_folder.settle(config)
            with joined(config.run_dir) as config.run_dir:
                work(config)
    except KeyboardInterrupt as stopped:
        how = f"resume={config.run_dir}" + (" trust=true" if trusted.foreign(config) else "")
        if not (Path(config.run_dir) / run_folder.CONFIG).is_file():  # a comparison is many runs
            how = f"run_dir={config.run_dir} and the same overrides"
        sys.exit(f"{str(stopped) or 'interrupted'}; to continue: gram-pyro {script} {how}")
