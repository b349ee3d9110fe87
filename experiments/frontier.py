"""Validity against coverage: what a wider prior in the first segments buys, and what it costs.

    python experiments/frontier.py checkpoint=runs/.../GRAM.safetensors num_hot=[1,2] temperatures=[1,1.5,2,2.5,3]

For every number of hot segments and every temperature: the share of trajectories that are right, and coverage@K, pooled
and macro, beside that of a perfect sampler. The run folder receives frontier.json, frontier.csv and frontier.png.
"""

from functools import partial

import hydra
from omegaconf import DictConfig
from tqdm import tqdm

from gram_pyro.evaluation.evaluate import evaluate
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.study import Study, run_study, save_study, say_where
from gram_pyro.inference.noise import hot_start
from gram_pyro.plots.trial import frontier_figure
from gram_pyro.tasks.base import subset, unseen

COLUMNS = ("puzzles", "num_hot", "temperature", "accuracy", "coverage", "ceiling", "coverage_macro", "ceiling_macro")


def run(study: Study, config: DictConfig) -> None:
    task, program, device, precision, folder, _ = study
    options = {"heads": program.heads, "halt_at": config.halt_at, "chunk": config.chunk}
    points = [(1, 1.0)] if 1.0 in config.temperatures else []
    points += [(hot, t) for hot in config.num_hot for t in config.temperatures if t != 1]
    rows = []
    for name, whole in unseen(task).items():
        puzzles = subset(whole, config.num_puzzles)
        for num_hot, temperature in tqdm(points, desc=name, unit="point", dynamic_ncols=True):
            draw = partial(hot_start, program.model, temperature=temperature, num_hot=num_hot, **options)
            with precision:
                widths = [1, config.num_particles]
                _, _, table = evaluate(draw, task, puzzles, config.num_segments, widths, config.seed, device)
            one, many = 1, config.num_particles
            rows.append(
                {
                    "task": type(task).__name__,
                    "puzzles": name,
                    "method": "the prior as trained" if temperature == 1 else f"{num_hot} hot segments, temperature",
                    "note": f"{temperature:g}",
                    "num_hot": num_hot,
                    "temperature": temperature,
                    "accuracy": 100 * table["accuracy"][one],
                    "accuracy_se": 100 * table["accuracy_se"][one],
                    "coverage": 100 * table["coverage_pooled"][many],
                    "coverage_se": None,
                    "ceiling": 100 * table["ceiling_pooled"][many],
                    "coverage_macro": 100 * table["coverage"][many],
                    "coverage_macro_se": 100 * table["coverage_se"][many],
                    "ceiling_macro": 100 * table["ceiling"][many],
                    "segments": table["segments"],
                    "seconds": table["seconds"],
                }
            )
    save_study(study, config, "frontier", rows)
    print(rows_markdown(rows, COLUMNS))
    frontier_figure(rows, folder / "frontier.png")
    say_where(study)


@hydra.main(version_base=None, config_path="conf", config_name="frontier")
def main(config: DictConfig) -> None:
    run_study(config, run)


if __name__ == "__main__":
    plain_arguments()
    main()
