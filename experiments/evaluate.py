"""Evaluate a checkpoint on puzzles from a file, or on the test puzzles it was trained beside.

    python experiments/evaluate.py checkpoint=runs/.../GRAM.safetensors task.test=FILE num_segments=32

FILE is a CSV (question[,answer]) or JSONL (question, solutions) of Sudokus.
The last line of output is one JSON object over all puzzles.
"""

import json

import hydra
import pyro
from hydra.utils import instantiate
from omegaconf import DictConfig

from gram_pyro.build import choose_device
from gram_pyro.command import plain_errors
from gram_pyro.evaluate import evaluate
from gram_pyro.load import load_model, stored_config
from gram_pyro.metrics import join, report
from gram_pyro.report import COLUMNS, markdown
from gram_pyro.tasks.base import subset
from gram_pyro.train import TrainSettings


def run(config: DictConfig) -> None:
    trained = stored_config(config.checkpoint)
    if config.task.test is not None:
        trained.task.test = config.task.test
    task, device, widths = instantiate(trained.task), choose_device(config.device), list(config.widths)
    model = load_model(config.checkpoint, task).to(device)
    judged, seconds = [], 0.0
    for name, puzzles in task.test.items():
        puzzles = subset(puzzles, config.num_puzzles)
        with TrainSettings(**trained.train).autocast(device):
            result, table = evaluate(model, task, puzzles, config.num_segments, widths, config.chunk, config.seed)
        judged.append(result)
        seconds += table["seconds"]
        print(
            f"\n{table['num_puzzles']} puzzles '{name}', {config.num_segments} segments deep, "
            f"{table['seconds']} s on {device}\n{markdown(table, widths)}"
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
