"""Compare guides, or priors: all else equal, every entry is trained from every seed and measured the same way.

    entry x seed -> checkpoint, measured.json                    in RUN_DIR/ENTRY/seedS; finished runs are not repeated
    entry        -> mean and standard error over seeds           comparison.csv, .json, .png; runs.csv has every run

Measured on unseen puzzles of one test set: bounds on log p(y | x) over whole trajectories with the guide as proposal;
the quality of that proposal; the KL; accuracy and coverage of prior trajectories; the calibration of the value head.
"""

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from gram_pyro.evaluation.calibration import calibration_error
from gram_pyro.evaluation.evaluate import evaluate
from gram_pyro.evaluation.evidence import bound, log_weights
from gram_pyro.evaluation.metrics import standard_error
from gram_pyro.evaluation.tables import grid
from gram_pyro.guide import Guide
from gram_pyro.harness import trial
from gram_pyro.harness.build import choose_device
from gram_pyro.harness.programs import changed
from gram_pyro.harness.results import write_json, write_rows
from gram_pyro.harness.resume import claim_folder
from gram_pyro.inference.weights import ess, pareto_k, pareto_threshold
from gram_pyro.plots.compare import comparison_figure
from gram_pyro.tasks.base import Task, draw_batch, subset
from gram_pyro.training.trainer import Trainer

log = logging.getLogger(__name__)

COLUMNS = {  # of the printed table: measurement -> heading and format
    "elbo": ("ELBO (nats)", ".2f"),
    "iwae_gap": ("IWAE gap (nats)", ".2f"),
    "ess": ("ESS / K", ".3f"),
    "pareto_k": ("Pareto k", ".2f"),
    "pareto_bad": ("k too large", ".2f"),
    "kl": ("KL (nats)", ".3f"),
    "accuracy": ("accuracy", ".3f"),
    "coverage": ("coverage / ceiling", ".3f"),
    "calibration": ("calibration error", ".3f"),
    "minutes": ("minutes", ".1f"),
    "parameters": ("parameters", ".0f"),
}


def choices(config: DictConfig, group: str) -> dict[str, DictConfig]:
    """The entries by name: those listed under `{group}s`, which are files of conf/{group}, and all under `own`.

    Raises: ValueError on an unknown name, or if there is nothing to compare.
    """
    known = [name for name in GlobalHydra.instance().config_loader().get_group_options(group) if name != "own"]
    found = {}
    for name in config[f"{group}s"]:
        if name not in known:
            raise ValueError(
                f"got {group}s={name}; expected names among {', '.join(known)}; for your own class write "
                f"+own.{name}._target_=my_module.MyClass"
            )
        found[name] = named(group, name)
    found |= dict(config.own.items())
    if not found or not config.seeds:
        raise ValueError(f"got nothing to compare; write {group}s=[...] and seeds=[...]")
    return found


def named(group: str, name: str) -> DictConfig:
    """The choice conf/GROUP/NAME.yaml."""
    return compose("svi_sudoku", overrides=[f"{group}={name}"])[group]


def run_configs(config: DictConfig, group: str) -> Iterator[tuple[str, DictConfig]]:
    """The configuration of every run: `config` with the entry in its group, its companions, and its seed."""
    for name, choice in choices(config, group).items():
        changes = {group: choice} | {g: named(g, n) for g, n in config.companions.get(name, {}).items()}
        for seed in config.seeds:
            one = changed(config, changes, f"{group}s.{name}")
            OmegaConf.set_struct(one, False)
            for key in (f"{group}s", "seeds", "own", "companions"):
                del one[key]
            one.seed, one.run_dir = seed, f"{config.run_dir}/{name}/seed{seed}"
            yield name, one


@torch.no_grad()
def mean_kl(guide: Guide, x: Tensor, y: Tensor, num_segments: int) -> list[float]:
    """KL(q || p) of every transition, nats per puzzle, averaged over the segments of one guided trajectory."""
    state, found = None, []
    for segment in range(num_segments):
        guide(x, y, state, segment)
        state = guide.final_state()
        found.append(guide.kl())
    return torch.stack(found).mean(0).tolist()


def measure(trainer: Trainer, task: Task, config: DictConfig, device: torch.device) -> dict[str, float | None]:
    """The measurements of one run. Pareto k is the median over puzzles, None if weights are equal or degenerate."""
    by, num_segments = config.measure, config.train.num_segments
    if by.puzzles not in task.test:
        raise ValueError(f"got measure.puzzles={by.puzzles}; expected a test set of this task: {', '.join(task.test)}")
    model, guide, heads = trainer.averaged, trainer.ema.module["guide"], trainer.averaged_heads
    puzzles = subset(task.test[by.puzzles], by.num_puzzles)
    some = subset(puzzles, by.evidence_puzzles)
    index, generator = torch.arange(some.num_puzzles), torch.Generator().manual_seed(0)
    x, y, _, _ = draw_batch(some, index, generator).to(device)
    with trainer.settings.autocast(device):
        draw = partial(trainer.sample, heads=heads, chunk=config.evaluate.chunk)
        widths, depth = [1, by.num_particles], config.evaluate.num_segments
        trajectories, judged, table = evaluate(draw, task, puzzles, depth, widths, config.seed, device)
        weights = log_weights(model, guide, x, y, by.num_weights, num_segments, config.evaluate.chunk).cpu()
        kl = mean_kl(guide, *(rows.repeat(by.num_particles, 1) for rows in (x, y)), num_segments)
    elbo, iwae = (bound(weights, k).mean().item() for k in (1, by.iwae_width))
    tail = pareto_k(weights)
    median = tail[~tail.isnan()].median().item() if not tail.isnan().all() else math.inf
    return {
        "num_puzzles": puzzles.num_puzzles,
        "elbo": elbo,
        "iwae": iwae,
        "iwae_gap": iwae - elbo,
        "perfect": -some.num_solutions.double().log().mean().item(),
        "ess": (ess(weights) / len(weights)).mean().item(),
        "pareto_k": median if math.isfinite(median) else None,
        "pareto_bad": (tail > pareto_threshold(len(weights))).double().mean().item(),
        "kl": sum(kl),
        **{f"kl_{t}": value for t, value in enumerate(kl)},
        "accuracy": table["accuracy"][1],
        "coverage": table["coverage_share"][by.num_particles],
        "calibration": calibration_error(trajectories.value.flatten().double(), judged.solved.flatten()),
    }


def run_one(name: str, config: DictConfig, task: Task, device: torch.device) -> dict[str, object]:
    """Train one entry from one seed and measure it, or read the stored measurements."""
    folder = claim_folder(config)
    file = folder / "measured.json"
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or not whole
        trainer, description = trial.train(name, config, task, folder, device)
        numbers = measure(trainer, task, config, device)
        numbers["minutes"] = description["seconds"] / 60
        numbers["parameters"] = sum(description["parameters"][part] for part in ("model", "guide"))
        row = {"entry": name, "seed": config.seed, "updates": description["updates"], "device": str(device)} | numbers
        write_json(file, row)
    return json.loads(file.read_text(encoding="utf-8"))


def summarise(rows: Sequence[Mapping]) -> list[dict[str, object]]:
    """One line per entry: the mean over its seeds of every measurement NAME, and its error NAME_se; None if unknown."""
    lines = []
    for entry in dict.fromkeys(row["entry"] for row in rows):
        same = [row for row in rows if row["entry"] == entry]
        line = {"entry": entry, "seeds": len(same)}
        for name in dict.fromkeys(key for row in rows for key in row):
            if name in ("entry", "seed", "device"):
                continue
            values = torch.tensor([row[name] for row in same if row.get(name) is not None], dtype=torch.float64)
            line[name] = values.mean().item() if len(values) else None
            line[f"{name}_se"] = standard_error(values) if len(values) > 1 else None
        lines.append(line)
    return lines


def markdown(lines: Sequence[Mapping]) -> str:
    """The printed table."""
    rows = []
    for line in lines:
        row = [line["entry"], line["seeds"]]
        for name, (_, form) in COLUMNS.items():
            error = "" if line[f"{name}_se"] is None or name == "parameters" else f" ± {line[f'{name}_se']:{form}}"
            row.append("-" if line[name] is None else f"{line[name]:{form}}{error}")
        rows.append(row)
    return grid(["", "seeds", *(head for head, _ in COLUMNS.values())], rows)


def run(config: DictConfig, group: str) -> None:
    """The whole comparison of a group ("guide" or "prior"). A run whose loss is not finite is reported and left out.

    Raises: ValueError as `choices` and `measure`, and if no run finished.
    """
    runs, device = list(run_configs(config, group)), choose_device(config.device)
    task, rows, failed = instantiate(config.task), [], {}
    for number, (name, one) in enumerate(runs, 1):
        log.info("%s, seed %d: run %d of %d", name, one.seed, number, len(runs))
        try:
            rows.append(run_one(name, one, task, device))
        except FloatingPointError as error:
            failed[f"{name}, seed {one.seed}"] = str(error)
            log.warning("%s, seed %d did not finish: %s", name, one.seed, error)
    if not rows:
        raise ValueError(f"no run finished: {failed}")
    lines, folder = summarise(rows), Path(config.run_dir)
    write_rows(folder / "comparison.csv", lines)
    write_rows(folder / "runs.csv", rows)
    summary = {"config": OmegaConf.to_container(config, resolve=True), "table": lines, "runs": rows, "failed": failed}
    write_json(folder / "comparison.json", summary)
    print(
        f"\n{lines[0]['num_puzzles']:.0f} unseen puzzles '{config.measure.puzzles}'; a perfect model's ELBO is "
        f"{lines[0]['perfect']:.2f} nats; ± standard error over seeds\n{markdown(lines)}"
    )
    comparison_figure(lines, folder / "comparison.png", config.measure.iwae_width)
    print(f"\ntables, figure and checkpoints are in {folder}")
