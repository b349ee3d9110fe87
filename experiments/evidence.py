"""How probable is a solution under the model, and how good is the guide as a proposal?

    python experiments/evidence.py checkpoint=runs/.../GRAM.safetensors
    python experiments/evidence.py checkpoint=... num_puzzles=200 num_particles=100 widths=[1,10,100]

For each test set: the ELBO, IWAE bounds and the SMC estimate of log p(y | x) over whole trajectories (y one solution,
drawn uniformly), beside -log M, what a perfect model gives each of M solutions; ESS and Pareto k of the weights. Each
with the guide and with the prior as proposal: a guide that is worse than the prior steers whole trajectories badly,
however well it trains segments. The run folder receives evidence.json and, per puzzle, evidence.csv.
"""

import hydra
import torch
from omegaconf import DictConfig

from gram_pyro.evaluation.evidence import bound, log_weights, smc_evidence
from gram_pyro.evaluation.metrics import standard_error
from gram_pyro.guide import Guide
from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.own_guides import own_guides
from gram_pyro.harness.study import Study, run_study, save_study, say_where
from gram_pyro.inference.weights import ess, pareto_k, pareto_threshold
from gram_pyro.model import GRAM
from gram_pyro.tasks.base import Puzzles, draw_batch, subset, unseen

with own_guides():
    from guides.bootstrap import Bootstrap


def per_puzzle(
    model: GRAM, guide: Guide, puzzles: Puzzles, config: DictConfig, device: torch.device
) -> dict[str, torch.Tensor]:
    """Every estimate with one proposal for every puzzle, [B], nats; ESS as a share of the particles."""
    torch.manual_seed(config.seed)
    everything = torch.arange(puzzles.num_puzzles)
    x, y, _, _ = draw_batch(puzzles, everything, torch.Generator().manual_seed(config.seed)).to(device)
    weights = log_weights(model, guide, x, y, config.num_particles, config.num_segments, chunk=config.chunk).cpu()
    values = {f"IWAE {k}" if k > 1 else "ELBO": bound(weights, k) for k in config.widths}
    options = {"threshold": config.threshold, "chunk": config.chunk}
    smc = smc_evidence(model, guide, x, y, config.smc_particles, config.num_segments, **options)
    values[f"SMC {config.smc_particles}"] = smc.cpu()
    values["ESS / K"] = ess(weights) / len(weights)
    values["Pareto k"] = pareto_k(weights)
    return values


def run(study: Study, config: DictConfig) -> None:
    task, program, device, precision, *_ = study
    summary, rows, limit = {}, [], pareto_threshold(config.num_particles)
    for name, puzzles in unseen(task).items():
        puzzles = subset(puzzles, config.num_puzzles)
        with precision:
            proposals = {"guide": program.guide, "prior": Bootstrap(program.model)}
            by_proposal = {p: per_puzzle(program.model, q, puzzles, config, device) for p, q in proposals.items()}
        values = {f"{key}, {p} proposes": v for p, found in by_proposal.items() for key, v in found.items()}
        values["perfect model: -log M"] = -puzzles.num_solutions.double().log()
        known = {
            key: v[torch.isfinite(v)] for key, v in values.items()
        }  # Pareto k has no value where weights are equal
        summary[name] = {key: [v.mean().item(), standard_error(v), len(v)] for key, v in known.items()}
        for index in range(puzzles.num_puzzles):
            rows.append({"puzzles": name, "index": index} | {key: v[index].item() for key, v in values.items()})
        save_study(study, config, "evidence", rows, tests=summary)
        print(f"\n{puzzles.num_puzzles} puzzles '{name}', {config.num_segments} segments; nats per puzzle")
        for key, (mean, error, _) in summary[name].items():
            print(f"  {key:28s} {mean:10.4f} ± {error:.4f}")
        print(f"  Pareto k above {limit:.2f} are not to be trusted, of {config.num_particles} weights")
    say_where(study)


@hydra.main(version_base=None, config_path="conf", config_name="evidence")
def main(config: DictConfig) -> None:
    run_study(config, run)


if __name__ == "__main__":
    plain_arguments()
    main()
