"""Measure an optimiser step of ours beside one of the official TRM code, at equal size and in one process.

    git clone https://github.com/SamsungSAILMontreal/TinyRecursiveModels
    pip install einops pydantic
    python experiments/beside_trm.py checkout=TinyRecursiveModels
    python experiments/beside_trm.py checkout=TinyRecursiveModels core=mixing core.mixer.hidden=256

Both train TRM: one network for both levels, no noise. It mixes cells by attention or by a SwiGLU (core=mixing). The run
folder receives milliseconds and parameters of both, in beside_trm.csv and beside_trm.json.
"""

from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from gram_pyro.benchmark.clock import take_turns
from gram_pyro.benchmark.official_trm import build, stepper
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import build_learner, choose_device
from gram_pyro.harness.command import experiment
from gram_pyro.harness.results import write_table
from gram_pyro.harness.resume import open_folder


def measure(config: DictConfig) -> dict[str, object]:
    """Medians of both. A step of ours is a trajectory divided by its segments, with the steps of the heads."""
    device, task, count = choose_device(config.device), instantiate(config.task), config.train.num_segments
    batch = next(task.batches(config.train.batch_size, torch.Generator().manual_seed(config.seed))).to(device)
    torch.manual_seed(config.seed)
    learner = build_learner(config, task, device)
    theirs = build(Path(config.checkout), batch, task.num_symbols, config).to(device)
    step = stepper(theirs, batch, learner.settings, config.compile)
    ways = {"theirs": lambda: [step() for _ in range(count)], "ours": lambda: learner.train_on(batch)}
    seconds = take_turns(ways, config.warmup, config.repeats, device)
    return {
        "core": config.core.mixer._target_.rpartition(".")[2],
        "their parameters": sum(p.numel() for p in theirs.parameters()),
        "our parameters": sum(p.numel() for p in learner.model.parameters()),
        "theirs, ms": 1e3 * seconds["theirs"] / count,
        "ours, ms": 1e3 * seconds["ours"] / count,
        "ratio": seconds["ours"] / seconds["theirs"],
    }


@experiment
def main(config: DictConfig) -> None:
    folder, rows = open_folder(config), [measure(config)]
    write_table(folder, "beside_trm", rows, config)
    print(rows_markdown(rows))
    print(f"\ntables are in {folder}")


if __name__ == "__main__":
    main()
