"""Train GRAM to generate Sudoku boards, p(x), and boards with few clues by the same weights; judge what it generates.

    python experiments/svi_generation.py                       6x6
    python experiments/svi_generation.py task=boards_9         9x9
    python experiments/svi_generation.py method=masked_diffusion

The run folder receives the checkpoint, generation.csv (quality by depth), clues.csv (boards with few clues),
results.json and figures.
"""

from functools import partial

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from gram_pyro.evaluation.board_scores import GROUP, by_depth, claim
from gram_pyro.evaluation.evaluate import evaluate
from gram_pyro.evaluation.tables import flat_rows, rows_markdown
from gram_pyro.evaluation.verdict import diversity, diversity_text, is_collapsed
from gram_pyro.harness.build import choose_device
from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.results import write_json, write_rows
from gram_pyro.harness.resume import claim_folder
from gram_pyro.harness.run_folder import RESULTS, is_finished
from gram_pyro.harness.trial import evaluations, run_trial, train
from gram_pyro.plots.generation import boards_figure, depth_figure
from gram_pyro.plots.trial import training_figure
from gram_pyro.tasks.base import subset

SHOWN = 6  # boards in the picture
CLUE_COLUMNS = ("puzzles", "num_puzzles", "K", "accuracy", "accuracy_se", "any", "distinct", "entropy")


def train_and_generate(config: DictConfig) -> None:
    folder, device, by = claim_folder(config), choose_device(config.device), config.evaluate
    if is_finished(folder):
        return
    if by.num_boards < GROUP:
        raise ValueError(f"evaluate.num_boards={by.num_boards} came; write {GROUP} or more, which are judged together")
    task = instantiate(config.task)
    widths, tests, table = list(by.widths), {}, []
    with evaluations(config, folder) as evaluation:
        learner, results = train("GRAM", config, task, folder, device)
        draw = partial(learner.sample, chunk=by.chunk)
        with evaluation("GRAM"), learner.settings.autocast(device):
            rows, boards = by_depth(draw, task, by.num_boards, by.depths, config.seed, device)
            for name, puzzles in task.test.items():
                chosen = subset(puzzles, by.num_puzzles)
                _, _, tests[name] = evaluate(draw, task, chosen, by.num_segments, widths, config.seed, device)
                table += flat_rows("GRAM", name, tests[name], widths)
        several = diversity(claim(task, boards), GROUP)
        write_rows(folder / "generation.csv", rows)
        write_rows(folder / "clues.csv", table)
        programs = {"GRAM": results | {"tests": tests}}
        summary = {"programs": programs, "generation": rows, "collapsed": is_collapsed(several)}
        write_json(folder / RESULTS, summary)
    print(f"\n{rows_markdown(rows)}\n\n{rows_markdown([{k: row[k] for k in CLUE_COLUMNS} for row in table])}")
    print(f"\n{diversity_text(several, GROUP)}")
    training_figure({"GRAM": folder / "GRAM.csv"}, folder / "training.png")
    depth_figure(rows).savefig(folder / "depth.png", dpi=150)
    boards_figure(task, boards[:SHOWN]).savefig(folder / "boards.png", dpi=150)
    print(f"\ntables, figures and checkpoint are in {folder}")


@hydra.main(version_base=None, config_path="conf", config_name="svi_generation")
def main(config: DictConfig) -> None:
    run_trial(config, "svi_generation", train_and_generate)


if __name__ == "__main__":
    plain_arguments()
    main()
