"""Training on several processes, one per GPU or per group of CPU cores, started by torchrun:

    torchrun --nproc_per_node=2 experiments/svi_sudoku.py

Every rank gets the same batch and works on its part of the rows (batch_parts.py). Gradients are summed, so all ranks
take the same step. Sampling divides the puzzles. Only rank 0 writes to the run folder. A single process is rank 0 of 1.
"""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch import distributed as dist

from gram_pyro.inference.trajectories import Trajectories, concatenate
from gram_pyro.training.batch_parts import Part


def this_process() -> Part:
    """This rank, and the number of ranks."""
    return Part(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else Part(0, 1)


def is_first() -> bool:
    """Whether this is rank 0; it works before the processes are joined."""
    return os.environ.get("RANK", "0") == "0"


def parts(accumulate: int) -> list[Part]:
    """This rank's parts of a batch, one after the other."""
    rank, count = this_process()
    return [Part(rank * accumulate + i, count * accumulate) for i in range(accumulate)]


def add_up(tensors: Sequence[Tensor]) -> None:
    """Replace every tensor by its sum over all ranks, in one message."""
    if this_process().count > 1:
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))


def on_any(flag: bool) -> bool:
    """Whether the flag is true on any rank."""
    if this_process().count == 1:
        return flag
    flags: list[bool | None] = [None] * this_process().count
    dist.all_gather_object(flags, flag)
    return any(flags)


def spread(draw: Callable[..., Trajectories], x: Tensor, *args: object, **options: object) -> Trajectories:
    """draw(x, ...) with the puzzles x [B, L] divided among the ranks, each with its own random numbers.

    The numbers differ from those of one process and have the same law. The random state advances alike on all ranks.
    """
    me = this_process()
    if me.count == 1:
        return draw(x, *args, **options)
    seed = torch.randint(2**62, ()).item()
    with torch.random.fork_rng([x.device] if x.device.type == "cuda" else []):
        torch.manual_seed(seed + me.index)
        mine = draw(x[me.of(len(x))], *args, **options).to("cpu")
    found: list[Trajectories | None] = [None] * me.count
    dist.all_gather_object(found, mine)
    return concatenate(found).to(x.device)


@contextmanager
def joined(folder: str) -> Iterator[str]:
    """Join the processes that torchrun started; without torchrun nothing happens.

    Yields: the folder of this rank. Rank 0 writes to `folder`. The others print nothing and write to a temporary copy
    of it, so that they continue the same run. All ranks must be able to read the folder.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or dist.is_initialized():
        yield folder
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group()  # gloo for what is on CPUs, nccl for what is on GPUs
    try:
        name = [folder]
        dist.broadcast_object_list(name)  # the name may contain the time of day
        if dist.get_rank() == 0:
            dist.barrier()
            yield folder
        else:
            with silent(), TemporaryDirectory() as scratch:
                if Path(name[0]).is_dir():
                    shutil.copytree(name[0], scratch, dirs_exist_ok=True)
                dist.barrier()
                yield scratch
    except KeyboardInterrupt:
        if dist.get_rank():
            sys.exit(1)  # rank 0 prints the message
        raise
    finally:
        dist.destroy_process_group()


@contextmanager
def silent() -> Iterator[None]:
    """A context without output: no prints, no log, no progress bars."""
    logging.disable(logging.WARNING)
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield
    finally:
        logging.disable(logging.NOTSET)
