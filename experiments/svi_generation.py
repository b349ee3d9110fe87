"""Train GRAM to generate Sudoku boards, p(x), and to complete few clues with the same weights; judge the boards.

    python experiments/svi_generation.py                       6x6
    python experiments/svi_generation.py task=boards_9         9x9
    python experiments/svi_generation.py method=masked_diffusion

The run folder receives the checkpoint, generation.csv (quality by depth), clues.csv (boards with few clues),
results.json and figures.
"""

from functools import partial

from omegaconf import DictConfig

from gram_pyro.evaluation.board_scores import GROUP, by_depth, check_num_boards, claim
from gram_pyro.evaluation.evaluate import evaluate
from gram_pyro.evaluation.tables import flat_rows, rows_markdown
from gram_pyro.evaluation.verdict import diversity, diversity_text, is_collapsed
from gram_pyro.harness.programs import programs
from gram_pyro.harness.trial import Judge, run, trial
from gram_pyro.plots.generation import boards_figure, depth_figure
from gram_pyro.tasks.base import subset
from gram_pyro.training.learner import Learner

SHOWN = 6  # boards in the picture
CLUE_COLUMNS = ("puzzles", "num_puzzles", "K", "accuracy", "any", "distinct", "entropy")


class Boards(Judge):
    """Boards from the blank one at every depth, and boards with few clues."""

    def begin(self) -> None:
        by = self.config.evaluate
        check_num_boards(by.num_boards)
        if beside := ", ".join(f"baselines.{name}=null" for name in list(programs(self.config))[1:]):
            raise ValueError(f"got baselines; expected none: boards are judged alone; write {beside}")
        self.clues: list[dict] = []

    def judge(self, name: str, learner: Learner, description: dict) -> None:
        by, task, seed, widths = self.config.evaluate, self.task, self.config.seed, list(self.config.evaluate.widths)
        draw, tests = partial(learner.sample, chunk=by.chunk), {}
        self.rows, self.boards = by_depth(draw, task, by.num_boards, by.depths, seed, self.device)
        for test, puzzles in task.test.items():
            chosen = subset(puzzles, by.num_puzzles)
            _, _, tests[test] = evaluate(draw, task, chosen, by.num_segments, widths, seed, self.device)
            self.clues += flat_rows(name, test, tests[test], widths)
        self.programs = {name: description | {"tests": tests}}
        self.several = diversity(claim(task, self.boards), GROUP)

    def tables(self) -> dict[str, list]:
        return {"generation": self.rows, "clues": self.clues}

    def summary(self) -> dict[str, object]:
        return {"programs": self.programs, "generation": self.rows, "collapsed": is_collapsed(self.several)}

    def show(self) -> None:
        print(f"\n{rows_markdown(self.rows)}\n\n{rows_markdown(self.clues, CLUE_COLUMNS)}")
        print(f"\n{diversity_text(self.several, GROUP)}")
        depth_figure(self.rows).savefig(self.folder / "depth.png", dpi=150)
        boards_figure(self.task, self.boards[:SHOWN]).savefig(self.folder / "boards.png", dpi=150)


@trial
def main(config: DictConfig) -> None:
    run(config, Boards)


if __name__ == "__main__":
    main()
