"""A batch in parts, whose losses and gradients add up to those of the whole: for ranks, and for one after the other.

    loss = sum_parts loss_part,    loss_part = (rows of the part / rows of the batch) x mean over its rows

Every part draws the noise of the whole batch from the same random state and keeps that of its own rows. So the numbers
do not depend on how many parts there are, but for rounding. Source: ours.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import Message
from torch import Size, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map


class Part(NamedTuple):
    """Part `index` of `count` equal ones, to a row."""

    index: int
    count: int

    def of(self, num_rows: int) -> slice:
        """The rows of this part out of `num_rows`.  Raises: ValueError if there are fewer rows than parts."""
        if num_rows < self.count:
            raise ValueError(
                f"{num_rows} rows of one kind (guided, free or watched; or puzzles to sample) came for {self.count} "
                "parts; write a larger train.batch_size or a smaller train.accumulate, or start fewer processes"
            )
        return slice(num_rows * self.index // self.count, num_rows * (self.index + 1) // self.count)

    def noise(self, num_puzzles: int, rows_each: int = 1) -> AbstractContextManager:
        """The context in which latents of this part's puzzles, of so many rows each, are what they would be in the
        whole batch."""
        if self.count == 1:
            return nullcontext()
        mine = self.of(num_puzzles)
        return RowNoise(slice(rows_each * mine.start, rows_each * mine.stop), rows_each * num_puzzles)


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """What is drawn inside is drawn again afterwards: the next part must see the same noise."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def own_noise(part: Part, device: torch.device) -> Iterator[None]:
    """Random numbers of this part alone, for what draws them without telling which row they are for."""
    seed = torch.randint(2**62, ()).item()
    with random_state_kept(device):
        torch.manual_seed(seed + part.index)
        yield


class RowNoise(Messenger):
    """Latents z_t are drawn as those of the rows `mine` in a batch of `num_rows`."""

    def __init__(self, mine: slice, num_rows: int) -> None:
        super().__init__()
        self.mine, self.num_rows = mine, num_rows

    def _pyro_sample(self, msg: Message) -> None:
        if msg["name"].startswith("z_") and msg["value"] is None:
            with WholeBatch(msg["fn"].batch_shape, self.mine, self.num_rows):
                msg["value"] = msg["fn"](*msg["args"], **msg["kwargs"])
            msg["done"] = True


class WholeBatch(TorchDispatchMode):
    """Inside, whatever draws random numbers for `mine` rows draws them for `num_rows` and keeps its own.

    It knows them by torch's own tag, so any law will do whose need of random numbers does not depend on its parameters
    row by row (a Gamma's of varying shape does).
    Args: batch_shape [..., B], of the law that is drawn from; its last dim counts the rows.
    """

    def __init__(self, batch_shape: Size, mine: slice, num_rows: int) -> None:
        super().__init__()
        self.batch_shape, self.mine, self.num_rows = batch_shape, mine, num_rows

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        if not isinstance(args[0], Tensor):  # a shape, as of torch.rand
            whole = self.widen(torch.empty(args[0], device="meta")).shape
            return self.narrow(func(list(whole), *args[1:], **kwargs))
        drawn = self.narrow(func(*tree_map(lambda a: self.widen(a) if isinstance(a, Tensor) else a, args), **kwargs))
        return args[0].copy_(drawn) if func._schema.is_mutable else drawn

    def widen(self, tensor: Tensor) -> Tensor:
        """[..., b, *] to [..., B, *]; rows that are elsewhere are filled with one of ours."""
        rows, dim = self.by_row(tensor, self.batch_shape), len(self.batch_shape) - 1
        places = torch.arange(self.num_rows, device=tensor.device) - self.mine.start
        whole = rows.index_select(dim, places.clamp(0, self.batch_shape[-1] - 1))
        return whole if rows is tensor else whole.flatten(0, dim + 1)

    def narrow(self, whole: Tensor) -> Tensor:
        """[..., B, *] to [..., b, *]: our rows."""
        rows, dim = self.by_row(whole, Size([*self.batch_shape[:-1], self.num_rows])), len(self.batch_shape) - 1
        own = rows.narrow(dim, self.mine.start, self.batch_shape[-1])
        return own if rows is whole else own.flatten(0, dim + 1)

    @staticmethod
    def by_row(tensor: Tensor, batch_shape: Size) -> Tensor:
        """The tensor itself if its dims begin with batch_shape; else its first dim counts more, and is split."""
        if tensor.shape[: len(batch_shape)] == batch_shape:
            return tensor
        return tensor.unflatten(0, (*batch_shape, len(tensor) // math.prod(batch_shape)))
