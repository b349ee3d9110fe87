"""Measure validity against coverage with a wider prior in the first segments.

    python experiments/frontier.py checkpoint=runs/.../GRAM.safetensors num_hot=[1,2] temperatures=[1,1.5,2,2.5,3]

For every number of hot segments and every temperature: the share of right trajectories, and coverage@K, pooled and
macro, with the ceiling of a perfect sampler. The run folder receives frontier.json, frontier.csv and frontier.png.
"""

from tqdm import tqdm

from gram_pyro.evaluation.evaluate import evaluate
from gram_pyro.harness.study import Study, study
from gram_pyro.inference.noise import hot_start
from gram_pyro.plots.trial import frontier_figure

COLUMNS = ("puzzles", "num_hot", "temperature", "accuracy", "coverage", "ceiling", "coverage_macro", "ceiling_macro")


@study
def main(study: Study) -> None:
    config, task = study.config, study.task
    one, many = 1, config.num_particles
    points = [(1, 1.0)] if 1.0 in config.temperatures else []
    points += [(hot, t) for hot in config.num_hot for t in config.temperatures if t != 1]
    rows = []
    for name, puzzles in study.puzzles().items():
        for num_hot, temperature in tqdm(points, desc=name, unit="point", dynamic_ncols=True):
            draw = study.draw(hot_start, temperature=temperature, num_hot=num_hot)
            _, _, table = evaluate(draw, task, puzzles, config.num_segments, [one, many], config.seed, study.device)
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
    study.report("frontier", rows, COLUMNS)
    frontier_figure(rows, study.folder / "frontier.png")


if __name__ == "__main__":
    main()
