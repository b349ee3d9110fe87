"""Random weights that take the rules of a puzzle as an input, written as a checkpoint; and puzzles as text."""

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scripts import CONF

from gram_pyro.harness.build import build_guide, build_heads, build_model, build_task
from gram_pyro.harness.checkpoint import write

TIMETABLE = """\
cells: [maths, physics, art]
symbols: [monday nine, monday ten, tuesday]
excluded: {art: [monday nine, monday ten]}
rules:
  - edges: [[maths, physics]]
  - at most one: [[maths=tuesday, art=tuesday]]
"""  # solutions: art on tuesday, maths on monday, physics at one of the two other times: 4

LATIN = "grid: 2x2\nsymbols: 1..2\nrules: [rows, columns]\n"  # 2 solutions


def write_weights(path):
    """A checkpoint of the task constraints_small, not trained."""
    small = ["task=constraints_small", "dim=8", "core.hidden=8", "core.num_layers=1", "compile=false", "device=cpu"]
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_constraints", overrides=[*small, "task_name=x", "method_name=x", "run_dir=x"])
    config = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    model = build_model(config, build_task(config, {}))
    parts = {"model": model, "guide": build_guide(config, model), "heads": build_heads(config)}
    tensors = {f"average.{part}.{name}": v for part, m in parts.items() for name, v in m.state_dict().items()}
    write(path, tensors, {"config": OmegaConf.to_container(config), "updates": 0, "seconds": 0.0})
