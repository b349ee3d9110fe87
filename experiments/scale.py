"""Estimate what training at the paper's size costs on 1, 8 and 64 GPUs.

    GRAM_DATA=data python experiments/scale.py
    GRAM_DATA=data python experiments/scale.py rate=60 bandwidth=12 'gpus=[1,4]'

    hours = updates (operations of an update / (G rate) + 2 (G - 1)/G bytes of the gradients / bandwidth) / 3600

Operations are those of all matrix products in one optimiser step, counted on `rows` rows and multiplied. The rate is
one that this code reached on a GPU. The second term is a ring all-reduce of the gradients, which overlaps with nothing.
The run folder receives scale.csv and scale.json.
"""

from collections.abc import Mapping

import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch.utils.flop_counter import FlopCounterMode

from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import build_learner
from gram_pyro.harness.command import experiment
from gram_pyro.harness.results import write_table
from gram_pyro.harness.resume import open_folder

GRADIENT = 4  # bytes of a parameter's gradient
SMALL = ["compile=false", "train.num_segments=1", "train.precision=fp32", "run_dir=none"]


def counted(script: str, overrides: list[str], rows: int) -> dict[str, float]:
    """Parameters, updates and TFLOP of an update of a recipe; a segment of a trajectory is an update."""
    config = compose(script, overrides=[*overrides, *SMALL])
    batch_size = config.train.batch_size
    config.train.batch_size = rows
    task, device = instantiate(config.task), torch.device("cpu")
    torch.manual_seed(config.seed)
    learner = build_learner(config, task, device)
    batch = next(task.batches(rows, torch.Generator().manual_seed(config.seed)))
    with FlopCounterMode(display=False) as counter:
        learner.train_on(batch)
    return {
        "parameters": sum(p.numel() for p in learner.program.parameters()),
        "updates": config.train.updates,
        "batch": batch_size,
        "tflop": counter.get_total_flops() * batch_size / rows / 1e12,
    }


def hours(work: Mapping[str, float], gpus: int, rate: float, bandwidth: float) -> float:
    """The formula above.  Args: rate in TFLOP/s of a GPU, bandwidth in GB/s of a GPU."""
    reduce = 2 * (gpus - 1) / gpus * GRADIENT * work["parameters"] / (1e9 * bandwidth)
    return work["updates"] * (work["tflop"] / (gpus * rate) + reduce) / 3600


@experiment
def main(config: DictConfig) -> None:
    folder, rows = open_folder(config), []
    for name, recipe in config.recipes.items():
        work = counted(recipe.script, list(recipe.overrides), config.rows)
        on = {f"hours on {gpus}": hours(work, gpus, config.rate, config.bandwidth) for gpus in config.gpus}
        rows.append({"recipe": name, **work, **on})
        write_table(folder, "scale", rows, config)
    print(rows_markdown(rows))
    print(f"\ntables are in {folder}")


if __name__ == "__main__":
    main()
