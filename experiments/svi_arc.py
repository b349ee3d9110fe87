"""Train GRAM on ARC-AGI and score it as ARC is scored, beside the deterministic recursion.

    python experiments/svi_arc.py                              ARC-1, grids up to 6x6
    python experiments/svi_arc.py task.side=10 task.num_names=255
    python experiments/svi_arc.py experiment=arc/paper         30x30, the paper's size: needs GPUs

The run folder receives config.yaml; a checkpoint, a metrics table and arc_PROGRAM.png, what was guessed, per program;
training.png, results.csv and results.json. Two guesses per test input, by a vote over A augmented copies of it with K
trajectories each; the rows "shown" are training pairs, of which no copies are made.
"""

from functools import partial
from pathlib import Path

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from gram_pyro.evaluation.arc_vote import Answers, answer_copies, score, score_all, vote
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.build import choose_device
from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.results import write_json, write_rows
from gram_pyro.harness.resume import claim_folder
from gram_pyro.harness.run_folder import RESULTS, is_finished
from gram_pyro.harness.trial import evaluations, rival_config, run_trial, train
from gram_pyro.plots.arc import guesses_figure
from gram_pyro.plots.trial import training_figure
from gram_pyro.tasks.arc.task import TASK, Arc
from gram_pyro.tasks.base import Puzzles, concatenate, subset

MOST_INPUTS = 6  # in a figure


def draw_guesses(task: Arc, puzzles: Puzzles, answers: Answers, path: Path) -> None:
    """Tasks whose first input is hit in the upper half of the figure, as far as there are, others in the lower half."""
    guesses = vote(answers)
    hit = score(task, puzzles, guesses).hit.tolist()
    numbers = puzzles.x[:, TASK].tolist()
    first = [b for b, number in enumerate(numbers) if number not in numbers[:b]]
    hits, misses = ([b for b in first if hit[b] == wanted] for wanted in (True, False))
    chosen = spread(hits, max(MOST_INPUTS // 2, MOST_INPUTS - len(misses)))
    chosen += spread(misses, MOST_INPUTS - len(chosen))
    guesses_figure(task, puzzles, guesses, chosen, answers.log_likelihood[..., 0].numel(), path)


def spread(items: list[int], most: int) -> list[int]:
    """At most that many of the items, evenly spaced."""
    num = min(most, len(items))
    return [items[i * len(items) // num] for i in range(num)]


def run(config: DictConfig) -> None:
    if config.get("peer"):  # absent where the choice is null
        raise ValueError(
            f"peer={config.peer._target_} reads puzzles that are as long as their answers, and those of ARC begin with "
            "a name; leave peer=null, or choose a method that is a recursion"
        )
    folder, device = claim_folder(config), choose_device(config.device)
    if is_finished(folder):
        return
    task, asked = instantiate(config.task), config.evaluate
    programs = {"GRAM": config} | {name: rival_config(config, r) for name, r in config.rivals.items() if r}
    sets = {name: (puzzles, list(asked.augmentations)) for name, puzzles in task.test.items()}
    sets["shown"] = subset(task.train, asked.num_puzzles), [1]
    results, rows, guessed = {}, [], {}
    with evaluations(config, folder) as evaluation:
        for name, program in programs.items():
            learner, results[name] = train(name, program, task, folder, device)
            draw = partial(learner.sample, chunk=asked.chunk)
            drawn = []
            for source, (puzzles, copies) in sets.items():
                with evaluation(name), learner.settings.autocast(device):
                    answers = answer_copies(
                        draw, task, puzzles, max(copies), max(asked.widths), asked.num_segments, config.seed, device
                    )
                head = {"program": name, "puzzles": source}
                rows += [head | row for row in score_all(task, puzzles, answers, copies, asked.widths)]
                if source in task.test:
                    drawn.append((puzzles, answers))
            puzzles = concatenate([part for part, _ in drawn])
            answers = Answers(*(torch.cat(field, 2) for field in zip(*(part for _, part in drawn), strict=True)))
            guessed[name] = puzzles, answers
        write_rows(folder / "results.csv", rows)
        write_json(folder / RESULTS, {"programs": results, "rows": rows})
    print(f"\n{rows_markdown(rows)}")
    training_figure({name: folder / f"{name}.csv" for name in programs}, folder / "training.png")
    for name, (puzzles, answers) in guessed.items():
        draw_guesses(task, puzzles, answers, folder / f"arc_{name}.png")
    print(f"\ntables, figures and checkpoints are in {folder}")


@hydra.main(version_base=None, config_path="conf", config_name="svi_arc")
def main(config: DictConfig) -> None:
    run_trial(config, "svi_arc", run)


if __name__ == "__main__":
    plain_arguments()
    main()
