"""Measure an optimiser step of ours beside one of the official TRM code, at equal size and in one process.

    git clone https://github.com/SamsungSAILMontreal/TinyRecursiveModels
    pip install einops pydantic
    python experiments/beside_trm.py checkout=TinyRecursiveModels

Both train TRM: one network for both levels, no noise. For each mixer (attention over the cells, and a SwiGLU over the
cells) the run folder receives milliseconds and parameters of both, in beside_trm.csv and beside_trm.json.
"""

from pathlib import Path

import torch
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig

from gram_pyro.benchmark.clock import take_turns
from gram_pyro.benchmark.official_trm import build, stepper
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import build_learner
from gram_pyro.harness.command import experiment
from gram_pyro.harness.results import write_table
from gram_pyro.harness.resume import open_folder

THEIRS = {"attention": {"mlp_t": False, "pos_encodings": "rope"}, "mixing": {"mlp_t": True, "pos_encodings": "none"}}
TINY = "core._target_=gram_pyro.networks.core.tiny"


def measure(mixer: str, config: DictConfig) -> dict[str, object]:
    """A row: the medians of both. A step of ours is a trajectory divided by its segments, heads included."""
    size = [f"dim={config.dim}", f"core={mixer}", TINY, *config.ours, *config.of_mixer[mixer]]
    ours = compose("svi_sudoku", overrides=["method=trm", *size, f"compile={config.compile}", "run_dir=none"])
    device = torch.device("cpu")
    task = instantiate(ours.task)
    batch = next(task.batches(ours.train.batch_size, torch.Generator().manual_seed(config.seed)))
    learner = build_learner(ours, task, device)
    theirs = build(
        Path(config.checkout), batch, task.num_symbols, hidden_size=config.dim, num_heads=config.num_heads,
        expansion=config.expansion, H_cycles=ours.model.num_transitions, L_cycles=ours.core.num_updates, **THEIRS[mixer],
    )  # fmt: skip
    step, count = stepper(theirs, batch, learner.settings, config.compile), ours.train.num_segments
    ways = {"theirs": lambda: [step() for _ in range(count)], "ours": lambda: learner.train_on(batch)}
    seconds = take_turns(ways, config.warmup, config.repeats, device)
    return {
        "mixer": mixer,
        "their parameters": sum(p.numel() for p in theirs.parameters()),
        "our parameters": sum(p.numel() for p in learner.model.parameters()),
        "theirs, ms": 1e3 * seconds["theirs"] / count,
        "ours, ms": 1e3 * seconds["ours"] / count,
        "ratio": seconds["ours"] / seconds["theirs"],
    }


@experiment
def main(config: DictConfig) -> None:
    folder, rows = open_folder(config), []
    for mixer in config.mixers:
        rows.append(measure(mixer, config))
        write_table(folder, "beside_trm", rows, config)
    print(rows_markdown(rows))
    print(f"\ntables are in {folder}")


if __name__ == "__main__":
    main()
