"""Train GRAM on ARC-AGI, and score it as ARC does, together with the deterministic recursion.

    python experiments/svi_arc.py                              ARC-1, grids up to 6x6
    python experiments/svi_arc.py task.side=10 task.num_names=255
    python experiments/svi_arc.py experiment=arc/paper         30x30, the paper's size: needs GPUs

The run folder receives config.yaml; per program a checkpoint, a metrics table and arc_PROGRAM.png with its guesses;
training.png, results.csv and results.json; width.png, what is right among all answers and in two guesses. A test input
gets two guesses, by a vote over A augmented copies of it with K trajectories each, and two by evidence; the vote of the
largest A and K is in submission_PROGRAM.json, in the format of the ARC Prize. The rows "shown" are training pairs
without copies.
"""

from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig

from gram_pyro.evaluation.arc_evidence import candidates, evidence, judge_all
from gram_pyro.evaluation.arc_vote import Answers, Guesses, answer_copies, score, score_all, vote
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.results import write_json
from gram_pyro.harness.trial import Judge, run, trial
from gram_pyro.plots.arc import guesses_figure, width_figure
from gram_pyro.tasks.arc.submission import submission
from gram_pyro.tasks.arc.task import TASK, Arc
from gram_pyro.tasks.base import Puzzles, concatenate, subset
from gram_pyro.training.learner import Learner

MOST_INPUTS = 6  # in a figure


def draw_guesses(task: Arc, puzzles: Puzzles, guesses: Guesses, num_votes: int, path: Path) -> None:
    """Draw tasks whose first input is hit in the upper half of the figure, and others in the lower half."""
    hit = score(task, puzzles, guesses).hit.tolist()
    numbers = puzzles.x[:, TASK].tolist()
    first = [b for b, number in enumerate(numbers) if number not in numbers[:b]]
    hits, misses = ([b for b in first if hit[b] == wanted] for wanted in (True, False))
    chosen = spread(hits, max(MOST_INPUTS // 2, MOST_INPUTS - len(misses)))
    chosen += spread(misses, MOST_INPUTS - len(chosen))
    guesses_figure(task, puzzles, guesses, chosen, num_votes, path)


def spread(items: list[int], most: int) -> list[int]:
    """At most `most` of the items, evenly spaced."""
    num = min(most, len(items))
    return [items[i * len(items) // num] for i in range(num)]


class TwoGuesses(Judge):
    """Guesses on the test inputs, and on training pairs as they are."""

    def begin(self) -> None:
        asked = self.config.evaluate
        self.sets = {name: (puzzles, list(asked.augmentations)) for name, puzzles in self.task.test.items()}
        self.sets["shown"] = subset(self.task.train, asked.num_puzzles), [1]
        self.programs: dict[str, dict] = {}
        self.rows: list[dict] = []
        self.guessed: dict[str, tuple[Puzzles, Answers]] = {}

    def judge(self, name: str, learner: Learner, description: dict) -> None:
        asked, task, drawn = self.config.evaluate, self.task, []
        draw, size = partial(learner.sample, chunk=asked.chunk), (max(asked.widths), asked.num_segments)
        for source, (puzzles, copies) in self.sets.items():
            answers = answer_copies(draw, task, puzzles, max(copies), *size, self.config.seed, self.device)
            judged = self.judge_answers(learner, puzzles, answers, copies)
            rows = score_all(task, puzzles, answers, copies, asked.widths)
            head = {"program": name, "puzzles": source}
            self.rows += [head | row | by for row, by in zip(rows, judged, strict=True)]
            if source in task.test:
                drawn.append((puzzles, answers))
        puzzles = concatenate([part for part, _ in drawn])
        answers = Answers(*(torch.cat(field, 2) for field in zip(*(part for _, part in drawn), strict=True)))
        self.programs[name], self.guessed[name] = description, (puzzles, answers)

    def judge_answers(self, learner: Learner, puzzles: Puzzles, answers: Answers, copies: list[int]) -> list[dict]:
        """The scores by evidence, a row for every number of copies and trajectories."""
        asked, found, widths = self.config.evaluate, candidates(answers), list(self.config.evaluate.widths)
        log_probs = evidence(
            learner.averaged, self.task, puzzles, found.boards, max(copies), widths, asked.num_segments,
            seed=self.config.seed, chunk=asked.chunk, device=self.device,
        )  # fmt: skip
        return judge_all(self.task, puzzles, found, log_probs, copies, widths)

    def tables(self) -> dict[str, list]:
        return {"results": self.rows}

    def summary(self) -> dict[str, object]:
        return {"programs": self.programs, "rows": self.rows}

    def show(self) -> None:
        print(f"\n{rows_markdown(self.rows)}")
        width_figure(self.rows, self.folder / "width.png")
        for name, (puzzles, answers) in self.guessed.items():
            guesses, num_votes = vote(answers), answers.log_likelihood[..., 0].numel()
            write_json(self.folder / f"submission_{name}.json", submission(self.task, puzzles.x, *guesses))
            draw_guesses(self.task, puzzles, guesses, num_votes, self.folder / f"arc_{name}.png")


@trial
def main(config: DictConfig) -> None:
    if config.baseline:
        raise ValueError(
            f"got baseline={config.baseline._target_}; expected a recursion: a baseline reads puzzles as long as their "
            "answers, and those of ARC begin with a name; write baseline=null"
        )
    run(config, TwoGuesses)


if __name__ == "__main__":
    main()
