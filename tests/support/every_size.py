"""Random weights that serve Sudokus of every size, written as a checkpoint."""

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scripts import CONF

from gram_pyro.harness.build import build_guide, build_heads, build_model
from gram_pyro.storage.tensors import write
from gram_pyro.tasks.sudoku.task import Sudoku

SMALL = (
    "embed=candidates core=constraints readout=candidates guide=bootstrap dim=8 core.hidden=8 core.num_layers=1 "
    "core.num_updates=1 compile=false device=cpu"
).split()


def configured(*overrides):
    """The configuration that training with these overrides stores."""
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("svi_sudoku", overrides=[*SMALL, *overrides, "task_name=x", "method_name=x", "run_dir=x"])
    return OmegaConf.to_container(config, resolve=True)


def write_weights(path, n=9):
    """A checkpoint of a plain Sudoku task of side n."""
    config = OmegaConf.create(configured(f"task.n={n}", "task.num_train=4", "task.num_test=2", "+task.cache=null"))
    model = build_model(config, Sudoku(n, test={}))
    parts = {"model": model, "guide": build_guide(config, model), "heads": build_heads(config)}
    tensors = {f"average.{part}.{name}": v for part, m in parts.items() for name, v in m.state_dict().items()}
    write(path, tensors, {"config": OmegaConf.to_container(config), "updates": 0, "seconds": 0.0})
