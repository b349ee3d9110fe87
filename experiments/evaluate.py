"""Evaluate a checkpoint on its own unseen puzzles, on fresh ones, or on puzzles from a file.

    python experiments/evaluate.py checkpoint=runs/.../GRAM.safetensors task.test=FILE num_segments=32
    python experiments/evaluate.py checkpoint=... sampler=smc potential=violation select=best_value halt_at=0.9

FILE is a CSV (question[,answer]) or JSONL (question, solutions) of Sudokus.
The last line of output is one JSON object over all puzzles.
"""

import json
from functools import partial

import hydra
import pyro
from hydra.utils import instantiate
from omegaconf import DictConfig

from gram_pyro.build import build_sampler, build_task, choose_device
from gram_pyro.command import plain_errors
from gram_pyro.evaluate import evaluate, selected
from gram_pyro.learner import TrainSettings
from gram_pyro.load import load_program, stored_config
from gram_pyro.metrics import join, report
from gram_pyro.report import COLUMNS, markdown
from gram_pyro.tasks.base import subset


def run(config: DictConfig) -> None:
    trained = stored_config(config.checkpoint)
    task, device, widths = build_task(trained, config.task), choose_device(config.device), list(config.widths)
    program = load_program(config.checkpoint, task)
    model, heads = program.model.to(device), program.heads.to(device)
    sampler, select = build_sampler(config.sampler, task, heads), instantiate(config.select)
    draw = partial(sampler, model, heads=heads, halt_at=config.halt_at, chunk=config.chunk)
    judged, seconds = [], 0.0
    for name, puzzles in task.test.items():
        puzzles = subset(puzzles, config.num_puzzles)
        with TrainSettings(**trained.train).autocast(device):
            trajectories, result, table = evaluate(
                draw, task, puzzles, config.num_segments, widths, config.seed, device
            )
        judged.append(result)
        seconds += table["seconds"]
        _, _, row = selected(task, puzzles, trajectories, select)
        print(
            f"\n{table['num_puzzles']} puzzles '{name}', {config.num_segments} segments deep, "
            f"{table['segments']:.2f} run on average, {table['seconds']} s on {device}\n{markdown(table, widths)}\n\n"
            f"one answer of {max(widths)}: {row['accuracy']:.4f} ± {row['accuracy_se']:.4f} right; answered "
            f"{row['answered']:.4f}" + (f", of which {row['accuracy_answered']:.4f} right" if row["answered"] else "")
        )
    everything = join(judged)
    metrics = {name: by_width for name, by_width in report(everything, widths).items() if name in dict(COLUMNS)}
    print(json.dumps(metrics | {"num_puzzles": len(everything.num_solutions), "seconds": round(seconds, 2)}))


@hydra.main(version_base=None, config_path="conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    pyro.enable_validation(False)
    with plain_errors():
        run(config)


if __name__ == "__main__":
    main()
