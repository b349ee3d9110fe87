"""Measure the cost: time, memory, and the share of the machine that is used, as one table.

    python experiments/benchmark.py
    python experiments/benchmark.py memory=null     without a part, by its name in benchmark.yaml

Every line is compared with the first of its group, in the same process; times are medians over repeats, in turns. The
run folder receives benchmark.csv, benchmark.json and benchmark.png, which grow with every finished part.
"""

from collections.abc import Iterator
from functools import cached_property, partial

import pyro
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from tqdm import tqdm

from gram_pyro.benchmark.clock import Line, milliseconds, take_turns
from gram_pyro.benchmark.figure import benchmark_figure
from gram_pyro.benchmark.memory import measure_memory
from gram_pyro.benchmark.products import measure_boards, measure_products
from gram_pyro.benchmark.sampling import measure_smc, measure_throughput
from gram_pyro.benchmark.stages import measure_stages
from gram_pyro.benchmark.step import measure_step
from gram_pyro.evaluation.tables import grid
from gram_pyro.harness.build import build_learner, choose_device
from gram_pyro.harness.command import experiment
from gram_pyro.harness.load import Program, load
from gram_pyro.harness.results import write_table
from gram_pyro.harness.resume import open_folder
from gram_pyro.inference.sampler import sample
from gram_pyro.networks.core import Core
from gram_pyro.tasks.base import Batch, Task
from gram_pyro.training.precision import PRECISIONS, autocast
from gram_pyro.training.trainer import Trainer


class Bench:
    """The parts of the benchmark; each is a method named like its key of the configuration."""

    def __init__(self, config: DictConfig) -> None:
        self.config, self.device = config, choose_device(config.device)
        self.task: Task = instantiate(config.task)
        self.turns = {"warmup": config.warmup, "repeats": config.repeats}

    def trainer(self, **changes: object) -> Trainer:
        """A trainer of the configuration with `changes`."""
        config = OmegaConf.merge(self.config, OmegaConf.create(changes))
        pyro.set_rng_seed(config.seed)
        return build_learner(config, self.task, self.device)

    def batch(self, size: int) -> Batch:
        generator = torch.Generator().manual_seed(self.config.seed)
        return next(self.task.batches(size, generator)).to(self.device)

    @cached_property
    def released(self) -> tuple[Task, Program]:
        task, program = load(self.config.weights, trust=self.config.trust)
        return task, Program(*(part.to(self.device) for part in program))

    def puzzles(self, num_puzzles: int) -> Tensor:
        """Unseen puzzles of the task of the released weights."""
        return next(iter(self.released[0].test.values())).x[:num_puzzles].to(self.device)

    def step(self, part: DictConfig) -> list[Line]:
        return measure_step(self.trainer(), self.batch(self.config.train.batch_size), **part)

    def stages(self, part: DictConfig) -> Iterator[Line]:
        for way, changes in part.ways.items():
            batches = self.task.batches(self.config.train.batch_size, torch.Generator().manual_seed(self.config.seed))
            trainer = self.trainer(**changes)
            yield from measure_stages(way, trainer, batches, part.warmup, part.repeats, self.device)

    def precision(self, part: DictConfig) -> list[Line]:
        batch, ways = self.batch(self.config.train.batch_size), {}
        for precision in PRECISIONS:
            for compiled in (False, True):
                trainer = self.trainer(train={"precision": precision, "num_segments": 1}, compile=compiled)
                ways[precision + compiled * ", compiled"] = partial(trainer.train_on, batch)
        return milliseconds("precision", take_turns(ways, **part, device=self.device))

    def sampling(self, part: DictConfig) -> list[Line]:
        x, precision = self.puzzles(part.num_puzzles), autocast(self.config.train.precision, self.device)
        return measure_throughput(self.released[1], x, part.depths, part.widths, part.halt_at, precision, **self.turns)

    def smc(self, part: DictConfig) -> list[Line]:
        x, precision = self.puzzles(part.num_puzzles), autocast(self.config.train.precision, self.device)
        return measure_smc(*self.released, x, part.width, part.depth, precision, **self.turns)

    def memory(self, part: DictConfig) -> Iterator[Line]:
        def training(batch_size: int, dim: int, num_segments: int) -> None:
            hidden = {"core": {"hidden": dim}, "dim": dim, "compile": False}
            sizes = {"batch_size": batch_size, "num_segments": num_segments}
            self.trainer(train=sizes, **hidden).train_on(self.batch(batch_size))

        def sampling(width: int) -> None:
            with autocast(self.config.train.precision, self.device):
                sample(self.released[1].model, x, width, 1)

        x = self.puzzles(1)
        small = {"batch_size": part.batch_sizes[0], "dim": part.dims[0], "num_segments": part.num_segments[0]}
        for name, values in (
            ("num_segments", part.num_segments),
            ("batch_size", part.batch_sizes),
            ("dim", part.dims),
        ):
            ways = {f"{name} = {v}": partial(training, **small | {name: v}) for v in values}
            yield from measure_memory(f"training, {name}", ways, self.device)
        ways = {f"width = {v}": partial(sampling, v) for v in part.widths}
        yield from measure_memory("sampling, width", ways, self.device)

    def products(self, part: DictConfig) -> list[Line]:
        def core(num_cells: int) -> torch.nn.Module:
            relations = torch.rand(3, num_cells, num_cells) < 0.2
            sizes = {"dim": part.dim, "hidden": part.dim, "num_layers": 1, "num_updates": 1}
            return instantiate(self.config.core, _partial_=True)(num_cells=num_cells, relations=relations, **sizes)

        return measure_products(core, **part, device=self.device, compiled=self.config.compile)

    def by_size(self, part: DictConfig) -> list[Line]:
        def board(n: int) -> tuple[Core, Tensor]:
            model = load(part.weights, trust=self.config.trust, n=n)[1].model
            return model.core, model.embed(torch.zeros(max(1, part.tokens // n**3), n * n, dtype=torch.long))

        sizes = {"size": part.size, "warmup": part.warmup, "repeats": part.repeats}
        boards = {f"{n}x{n}": board(n) for n in part.sizes}
        return measure_boards(boards, **sizes, device=self.device, compiled=self.config.compile)


# memory first: others fill it
PARTS = ("memory", "step", "stages", "precision", "sampling", "smc", "products", "by_size")


def markdown(lines: list[Line]) -> str:
    """The printed table."""
    rows, before = [], None
    for line in lines:
        group, before = "" if line.group == before else line.group, line.group
        rows.append([group, line.way, f"{line.value:.4g}", line.unit, f"{line.ratio:.2f}"])
    return grid(["what", "way", "", "unit", "ratio"], rows)


@experiment
def main(config: DictConfig) -> None:
    pyro.settings.set(module_local_params=True)
    bench, folder = Bench(config), open_folder(config)
    machine = {"device": str(bench.device), "threads": torch.get_num_threads(), "torch": torch.__version__}
    lines: list[Line] = []
    for name in tqdm([name for name in PARTS if config[name] is not None], unit="part", dynamic_ncols=True):
        lines += getattr(bench, name)(config[name])
        rows = [line._asdict() for line in lines]
        write_table(folder, "benchmark", rows, config, **machine, rows=rows)
        benchmark_figure(lines, folder / "benchmark.png")
    print(markdown(lines))
    print(f"\ntable and figure are in {folder}")


if __name__ == "__main__":
    main()
