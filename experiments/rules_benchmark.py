"""Measure the cost of rules as an input: time and memory of the exact-cover core against the size of a puzzle.

    python experiments/rules_benchmark.py
    python experiments/rules_benchmark.py 'graphs=[10,100]' sudokus=[]

A Sudoku of n x n has n^3 candidates and 4 n^3 pairs (candidate, group); a graph of average degree d has k (1 + d) pairs
per vertex. One puzzle at a time: a transition without a gradient, as in sampling, and a training step, a transition
with its gradient. The run folder receives rules_benchmark.json and .csv, which grow row by row, and the same as .png.
"""

from collections.abc import Iterator

import networkx as nx
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from gram_pyro.benchmark.clock import take_turns
from gram_pyro.benchmark.memory import peak
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import choose_device
from gram_pyro.harness.command import experiment
from gram_pyro.harness.results import write_table
from gram_pyro.harness.resume import open_folder
from gram_pyro.plots.rules import rules_figure
from gram_pyro.tasks.candidates.importers import colouring, sudoku
from gram_pyro.tasks.candidates.packed import pack_all, unpack
from gram_pyro.training.compiler import compile_parts
from gram_pyro.training.precision import autocast


def puzzles(config: DictConfig) -> Iterator[tuple[str, int, Tensor]]:
    """Kinds, sizes and packed puzzles [1, W]."""
    for n in config.sudokus:
        yield "Sudoku", n, pack_all([sudoku([0] * (n * n))])
    for n in config.graphs:
        graph = nx.gnp_random_graph(n, min(1.0, config.degree / max(n - 1, 1)), config.seed)
        yield "graph", n, pack_all([colouring(graph, config.colours)])


def measure(config: DictConfig, device: torch.device) -> Iterator[dict[str, object]]:
    """A row per puzzle, as they come: pairs, milliseconds, and additional peak memory of a transition and of a step.

    The memory of a small puzzle may be 0: it fits into memory that is already held.
    """
    torch.manual_seed(config.seed)
    embed = instantiate(config.embed, _partial_=True)(num_symbols=3, dim=config.dim).to(device)
    core = instantiate(config.core, _partial_=True)(dim=config.dim, num_cells=1, relations=None).to(device)
    if config.compile:
        compile_parts(core, device)
    for kind, size, x in tqdm(list(puzzles(config)), unit="puzzle"):
        x = x.to(device)

        def transition(x: Tensor = x) -> Tensor:
            with autocast(config.precision, device):
                e = embed(x)
                return core.predict(e, core.init(e)).h

        def sampled(x: Tensor = x) -> Tensor:
            with torch.no_grad():
                return transition(x)

        def trained(x: Tensor = x) -> None:
            transition(x).square()[..., 0].sum().backward()

        ways = {"transition": sampled, "step": trained}
        seconds = take_turns(ways, config.warmup, config.repeats, device)
        found = unpack(x)
        row = {"kind": kind, "size": size, "candidates": found.roles.shape[1], "pairs": len(found.incidence[0].index)}
        row |= {f"{way}_ms": round(1e3 * s, 3) for way, s in seconds.items()}
        if config.memory:
            held = peak(lambda: None, device)
            row |= {f"{way}_mib": max(0.0, round(peak(work, device) - held, 1)) for way, work in ways.items()}
        yield row


@experiment
def main(config: DictConfig) -> None:
    if not config.sudokus and not config.graphs:
        raise ValueError("got sudokus=[] and graphs=[]; expected one size or more; write graphs=[10], say")
    device, folder, rows = choose_device(config.device), open_folder(config), []
    for row in measure(config, device):
        rows.append(row)
        write_table(folder, "rules_benchmark", rows, config)
    rules_figure(rows, folder / "rules_benchmark.png")
    print(rows_markdown(rows))
    print(f"\ntable and figure are in {folder}")


if __name__ == "__main__":
    main()
