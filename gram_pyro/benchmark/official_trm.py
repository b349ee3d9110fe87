"""Steps of the official TRM code, from a checkout of it, beside ours at the same size.

Both: one network of 2 layers, T - 1 transitions without a gradient and one with, a loss, a halt head, AdamW, compiled,
no tokens beside the cells. Theirs has its own loss (stablemax in double precision) and keeps no average of the weights.
Source: github.com/SamsungSAILMontreal/TinyRecursiveModels (arXiv:2510.04871).
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from gram_pyro.tasks.base import Batch
from gram_pyro.training.learner import TrainSettings

NEEDED, LOSS = Path("models", "recursive_reasoning", "trm.py"), "stablemax_cross_entropy"


def build(checkout: Path, batch: Batch, num_symbols: int, ours: DictConfig) -> nn.Module:
    """Their network and loss, of the size of `ours`, for a batch.

    The hidden size of their SwiGLU is a multiple of 256: with 128 and 512 (cells: 81 and 256) both have equal ones.
    Raises: FileNotFoundError if `checkout` is none; ValueError if what it imports is not installed.
    """
    if not (checkout / NEEDED).exists():
        raise FileNotFoundError(
            f"there is no {checkout / NEEDED}; write checkout=FOLDER with a clone of "
            "https://github.com/SamsungSAILMontreal/TinyRecursiveModels"
        )
    here, sys.path = sys.path, [str(checkout), *(p for p in sys.path if not Path(p, "models.py").exists())]
    try:
        network, losses = import_module("models.recursive_reasoning.trm"), import_module("models.losses")
    except ImportError as problem:
        raise ValueError(f"their code cannot be imported ({problem}); write pip install einops pydantic") from None
    finally:
        sys.path = here
    rows, cells = batch.x.shape
    over_cells = "num_heads" not in ours.core.mixer
    size = {
        "batch_size": rows, "seq_len": cells, "vocab_size": num_symbols, "hidden_size": ours.dim,
        "expansion": ours.core.hidden / ours.dim, "num_heads": ours.core.mixer.get("num_heads", 1),
        "L_layers": ours.core.num_layers, "L_cycles": ours.core.num_updates, "H_cycles": ours.model.num_transitions,
        "mlp_t": over_cells, "pos_encodings": "none" if over_cells else "rope",
    }  # fmt: skip
    fixed = {"puzzle_emb_ndim": 0, "puzzle_emb_len": 0, "num_puzzle_identifiers": 1, "H_layers": 0}
    halting = {"halt_max_steps": 16, "halt_exploration_prob": 0.1}
    return losses.ACTLossHead(network.TinyRecursiveReasoningModel_ACTV1(size | fixed | halting), LOSS)


def stepper(loss_of: nn.Module, batch: Batch, settings: TrainSettings, compiled: bool) -> Callable[[], Tensor]:
    """An optimiser step of theirs as a function: it goes on from the state of the step before, and returns the loss."""
    rows = len(batch.x)
    data = {"inputs": batch.x, "labels": batch.y, "puzzle_identifiers": batch.x.new_zeros(rows)}
    optimiser = torch.optim.AdamW(loss_of.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    run = torch.compile(loss_of) if compiled else loss_of
    carry = loss_of.initial_carry(data)

    def step() -> Tensor:
        nonlocal carry
        carry, loss, *_ = run(carry=carry, batch=data, return_keys=[])
        (loss / rows).backward()
        optimiser.step()
        optimiser.zero_grad()
        return loss.detach()

    return step
