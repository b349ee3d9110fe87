"""How probable is a solution under the model, and how good is the guide as a proposal?

    python experiments/evidence.py checkpoint=runs/.../GRAM.safetensors
    python experiments/evidence.py checkpoint=... num_puzzles=200 num_particles=100 widths=[1,10,100]

For each test set: the ELBO, IWAE bounds and the SMC estimate of log p(y | x) over whole trajectories (y one solution,
drawn uniformly), beside -log M, what a perfect model gives each of M solutions; ESS and Pareto k of the guide's
weights. The run folder receives evidence.json and, per puzzle, evidence.csv.
"""

import csv
import json
from pathlib import Path

import hydra
import pyro
import torch
from omegaconf import DictConfig, OmegaConf

from gram_pyro.build import build_task, choose_device
from gram_pyro.command import plain_errors
from gram_pyro.evidence import bound, log_weights, smc_evidence
from gram_pyro.learner import TrainSettings
from gram_pyro.load import Program, load_program, stored_config
from gram_pyro.metrics import standard_error
from gram_pyro.tasks.base import Puzzles, draw_batch, subset
from gram_pyro.weights import ess, pareto_k


def per_puzzle(program: Program, puzzles: Puzzles, config: DictConfig, device: torch.device) -> dict[str, torch.Tensor]:
    """Every estimate for every puzzle, [B], nats; ESS as a share of the particles."""
    torch.manual_seed(config.seed)
    everything = torch.arange(puzzles.num_puzzles)
    x, y, _, _ = draw_batch(puzzles, everything, torch.Generator().manual_seed(config.seed)).to(device)
    shape = config.num_particles, config.num_segments
    weights = log_weights(program.model, program.guide, x, y, *shape, chunk=config.chunk).cpu()
    values = {f"IWAE {k}" if k > 1 else "ELBO": bound(weights, k) for k in config.widths}
    smc = smc_evidence(
        program.model,
        program.guide,
        x,
        y,
        config.smc_particles,
        config.num_segments,
        threshold=config.threshold,
        chunk=config.chunk,
    )
    values[f"SMC {config.smc_particles}"] = smc.cpu()
    values["perfect: -log M"] = -puzzles.num_solutions.double().log()
    values["ESS / K"] = ess(weights) / len(weights)
    values["Pareto k"] = pareto_k(weights)
    return values


def run(config: DictConfig) -> None:
    folder = Path(config.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    trained, device = stored_config(config.checkpoint), choose_device(config.device)
    task = build_task(trained, config.task)
    program = Program(*(module.to(device) for module in load_program(config.checkpoint, task)))
    summary, rows = {}, []
    for name, puzzles in task.test.items():
        puzzles = subset(puzzles, config.num_puzzles)
        with TrainSettings(**trained.train).autocast(device):
            values = per_puzzle(program, puzzles, config, device)
        known = {
            key: v[torch.isfinite(v)] for key, v in values.items()
        }  # Pareto k has no value where weights are equal
        summary[name] = {key: [v.mean().item(), standard_error(v), len(v)] for key, v in known.items()}
        print(f"\n{puzzles.num_puzzles} puzzles '{name}', {config.num_segments} segments; nats per puzzle")
        for key, (mean, error, _) in summary[name].items():
            print(f"  {key:18s} {mean:10.4f} ± {error:.4f}")
        print(f"  share with k > 0.7 {(values['Pareto k'] > 0.7).double().mean():10.4f}")
        for index in range(puzzles.num_puzzles):
            rows.append({"puzzles": name, "index": index} | {key: v[index].item() for key, v in values.items()})
    with (folder / "evidence.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    result = {"config": OmegaConf.to_container(config, resolve=True), "device": str(device), "tests": summary}
    (folder / "evidence.json").write_text(json.dumps(result, indent=1))
    print(f"\ntables are in {folder}")


@hydra.main(version_base=None, config_path="conf", config_name="evidence")
def main(config: DictConfig) -> None:
    pyro.enable_validation(False)
    with plain_errors():
        run(config)


if __name__ == "__main__":
    main()
