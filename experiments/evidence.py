"""Estimate log p(y | x) of solutions under the model, and the quality of the guide as a proposal.

    python experiments/evidence.py checkpoint=runs/.../GRAM.safetensors
    python experiments/evidence.py checkpoint=... num_puzzles=200 num_particles=100 widths=[1,10,100]

For each test set: the ELBO, IWAE bounds and the SMC estimate of log p(y | x) over whole trajectories (y is one
solution, drawn uniformly); -log M, the value of a perfect model for M solutions; ESS and Pareto k of the weights.
All are estimated with the guide and with the prior as proposal: a guide that is worse than the prior is a bad proposal
for whole trajectories, even if it trains segments well. The run folder receives evidence.json and, per puzzle,
evidence.csv.
"""

import torch

from gram_pyro.evaluation.evidence import bound, log_weights, smc_evidence
from gram_pyro.evaluation.metrics import standard_error
from gram_pyro.evaluation.tables import counted, rows_markdown
from gram_pyro.guide import Guide
from gram_pyro.harness.own_guides import own_guides
from gram_pyro.harness.study import Study, study
from gram_pyro.inference.weights import ess, pareto_k, pareto_threshold
from gram_pyro.tasks.base import Puzzles, draw_batch

with own_guides():
    from guides.bootstrap import Bootstrap


def per_puzzle(study: Study, guide: Guide, puzzles: Puzzles) -> dict[str, torch.Tensor]:
    """All estimates with one proposal, by name, for every puzzle, [B], nats; ESS as a share of the particles."""
    config, model = study.config, study.program.model
    torch.manual_seed(config.seed)
    everything = torch.arange(puzzles.num_puzzles)
    x, y, _, _ = draw_batch(puzzles, everything, torch.Generator().manual_seed(config.seed)).to(study.device)
    weights = log_weights(model, guide, x, y, config.num_particles, config.num_segments, chunk=config.chunk).cpu()
    values = {f"IWAE {k}" if k > 1 else "ELBO": bound(weights, k) for k in config.widths}
    options = {"threshold": config.threshold, "chunk": config.chunk}
    smc = smc_evidence(model, guide, x, y, config.smc_particles, config.num_segments, **options)
    values[f"SMC {config.smc_particles}"] = smc.cpu()
    values["ESS / K"] = ess(weights) / len(weights)
    values["Pareto k"] = pareto_k(weights)
    return values


@study
def main(study: Study) -> None:
    config, program = study.config, study.program
    proposals = {"guide": program.guide, "prior": Bootstrap(program.model)}
    summary, rows, limit = {}, [], pareto_threshold(config.num_particles)
    for name, puzzles in study.puzzles().items():
        by_proposal = {p: per_puzzle(study, q, puzzles) for p, q in proposals.items()}
        values = {f"{key}, {p} proposes": v for p, found in by_proposal.items() for key, v in found.items()}
        values["perfect model: -log M"] = -puzzles.num_solutions.double().log()
        known = {key: v[torch.isfinite(v)] for key, v in values.items()}  # Pareto k is missing where weights are equal
        summary[name] = {key: [v.mean().item(), standard_error(v), len(v)] for key, v in known.items()}
        for index in range(puzzles.num_puzzles):
            rows.append({"puzzles": name, "index": index} | {key: v[index].item() for key, v in values.items()})
        study.save("evidence", rows, tests=summary)
        depth = counted(config.num_segments, "segment")
        print(f"\n{counted(puzzles.num_puzzles, 'puzzle')} '{name}', {depth}; nats per puzzle")
        print(rows_markdown([{"estimate": key, "mean": m, "mean_se": se} for key, (m, se, _) in summary[name].items()]))
        print(f"do not trust weights with Pareto k above {limit:.2f}, the limit for {config.num_particles} of them")


if __name__ == "__main__":
    main()
