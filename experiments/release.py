"""Make a checkpoint small enough to ship, with a card that says what it is.

    python experiments/release.py checkpoint=runs/.../GRAM.safetensors name=sudoku_6x6
    python experiments/release.py checkpoint=runs/.../GRAM.safetensors name=sudoku +task=sudoku task.n=9

It keeps the moving averages and the configuration, drops optimiser and random state, and writes NAME.safetensors and
NAME.md into `folder`. Weights that serve every size are shipped for a plain `task`, whose size can then be changed; the
card says what they were trained on. Afterwards `gram_pyro.load("NAME")` gives the program.
"""

import json
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from gram_pyro.evaluation.tables import markdown, rows_markdown
from gram_pyro.harness.command import experiment
from gram_pyro.harness.former import complete
from gram_pyro.harness.load import load_program, weights_file
from gram_pyro.harness.results import number
from gram_pyro.storage.tensors import read, write


def card(name: str, description: dict, tests: dict, generation: list[dict], task: dict | None) -> str:
    """The card: task, training and results of the weights. Args: task for which they are shipped (None: as trained)."""
    config = description["config"]
    parameters = ", ".join(f"{part} {count}" for part, count in description["parameters"].items())
    before = description.get("before", "") and " after {updates} of {seconds:.0f} seconds".format(
        **description["before"]
    )
    lines = [
        f"# {name}",
        "",
        f"Trained at commit {description['commit']} on {description['device']}: {description['updates']} updates in "
        f"{description['seconds'] / 60:.0f} minutes{before}, seed {config['seed']}. Parameters: {parameters}.",
        "",
        "Task: `" + json.dumps(task or config["task"]) + "`",
        *(["", "Trained on: `" + json.dumps(config["task"]) + "`"] if task else []),
        "",
    ]
    for test, table in tests.items():
        widths = [int(width) for width in table["accuracy"]]
        numbers = {
            key: {int(k): number(v) for k, v in row.items()} for key, row in table.items() if isinstance(row, dict)
        }
        lines += [
            f"{table['num_puzzles']} unseen puzzles '{test}', {config['evaluate']['num_segments']} segments, prior "
            "trajectories from the initial state, judged by the rules:",
            "",
            markdown(numbers, widths),
            "",
        ]
    if generation:
        title = "Boards from the blank one, by depth (`gram_pyro/evaluation/board_scores.py`):"
        lines += [title, "", rows_markdown(generation), ""]
    return "\n".join(lines)


def without_folders(value: object) -> object:
    """The value with absolute paths replaced by file names."""
    if isinstance(value, dict):
        return {key: without_folders(below) for key, below in value.items()}
    if isinstance(value, list):
        return [without_folders(below) for below in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


@experiment
def main(config: DictConfig) -> None:
    path, folder = weights_file(config.checkpoint), Path(config.folder)
    tensors, description = read(path)
    results = path.parent / "results.json"
    if not results.is_file():
        raise FileNotFoundError(f"there is no {results}; a card needs the numbers of a finished run")
    results = json.loads(results.read_text(encoding="utf-8"))
    tests, generation = results["programs"][path.stem]["tests"], results.get("generation", [])
    folder.mkdir(parents=True, exist_ok=True)
    del description["config"]["run_dir"]
    description["config"] = without_folders(OmegaConf.to_container(complete(description["config"])))
    task = OmegaConf.to_container(config.task, resolve=True) if config.task else None
    about = card(config.name, description, tests, generation, task)
    if task:
        load_program(path, instantiate(task), config.trust)  # raises if the weights do not fit
        description["config"]["task"] = task
    averages = {name: value for name, value in tensors.items() if name.startswith("average.")}
    write(folder / f"{config.name}.safetensors", averages, description)
    (folder / f"{config.name}.md").write_text(about, encoding="utf-8")
    size = (folder / f"{config.name}.safetensors").stat().st_size / 2**20
    print(f"{folder / config.name}.safetensors, {size:.1f} MiB, and its card")


if __name__ == "__main__":
    main()
