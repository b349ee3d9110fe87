"""Pool training seeds into the verdict on the claim (see gram_pyro/evaluation/verdict.py).

    python experiments/svi_sudoku.py seed=0 run_dir=runs/a; ... seed=1 run_dir=runs/b; ... seed=2 run_dir=runs/c
    python experiments/verdict.py runs=[runs/a,runs/b,runs/c]

Results without numbers per puzzle are compared by their means, unpaired, and the line says so. `baselines` names, for
each run, the results of a recursion without noise that was trained and sampled separately:

    python experiments/verdict.py runs=[runs/a] baselines=[runs/trm_random_starts]
"""

from pathlib import Path

from omegaconf import DictConfig

from gram_pyro.evaluation.verdict import Seed, verdict_text
from gram_pyro.harness.command import experiment
from gram_pyro.harness.results import differences, read_programs, read_seed, settings_of

REPEAT = "repeat the command of each run without baselines.deterministic=null, in another run_dir"


def check_seeds(runs: list[Path]) -> None:
    """Raises: ValueError if two runs have one seed, or differ in more than that."""
    programs = [read_programs(run)["GRAM"] for run in runs]
    for run, program in zip(runs[1:], programs[1:], strict=True):
        if differ := differences(settings_of(programs[0]), settings_of(program)):
            raise ValueError(
                f"got {runs[0]} and {run}, which differ in {', '.join(differ)}; expected seeds of one configuration; "
                "write runs=[...] that differ in seed only"
            )
    seeds = [program["config"]["seed"] for program in programs]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"got seeds {seeds}; expected each once; write every run once, trained with its own seed=")


def read(runs: list[Path], baselines: list[Path], width: int) -> list[Seed]:
    """The numbers of every run.  Raises: ValueError as `check_seeds`, or if only some of them have a baseline."""
    if baselines and len(baselines) != len(runs):
        raise ValueError(
            f"got {len(baselines)} baselines of {len(runs)} runs; expected one of each; write them in one order"
        )
    check_seeds(runs)
    seeds = [read_seed(run, width, other) for run, other in zip(runs, baselines or [None] * len(runs), strict=True)]
    missing = [str(run) for run, seed in zip(runs, seeds, strict=True) if seed is None]
    if missing and len(missing) < len(runs):
        raise ValueError(f"got no baseline in {', '.join(missing)}; expected one in every run; to train it: {REPEAT}")
    return [seed for seed in seeds if seed]


@experiment
def main(config: DictConfig) -> None:
    runs, baselines = ([Path(path) for path in paths] for paths in (config.runs, config.baselines))
    print(verdict_text(read(runs, baselines, config.width), config.width, REPEAT))


if __name__ == "__main__":
    main()
