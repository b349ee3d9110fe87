"""The shipped weights as a table, and their cards.

Source: ours.
"""

from gram_pyro.app.puzzle import describe
from gram_pyro.harness.build import build_task
from gram_pyro.harness.load import released, serves_every_size, stored_config, weights_file
from gram_pyro.storage.tensors import read
from gram_pyro.tasks.candidates.task import Candidates


def table() -> str:
    """A line per shipped weights: name, task, parameters of the model, size; and their folder."""
    lines = [f"{'name':20}{'for':36}{'parameters':>10}  size"]
    for name in released():
        config = stored_config(name)
        task = build_task(config, {})
        _, description = read(weights_file(name))
        every = serves_every_size(config) and not isinstance(task, Candidates)
        what = describe(task) + (", and every other size" if every else "")
        size = weights_file(name).stat().st_size / 2**20
        lines.append(f"{name:20}{what:36}{description['parameters']['model']:>10}  {size:.1f} MiB")
    return "\n".join([*lines, "", f"they lie in {weights_file(released()[0]).parent}"])


def card(name: str) -> str:
    """The card of shipped weights.  Raises: ValueError, with the known names, if the name is unknown."""
    return weights_file(name).with_suffix(".md").read_text(encoding="utf-8").strip()
