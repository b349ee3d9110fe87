"""A batch divided into parts, for several ranks or for one after the other. Their losses add up to that of the batch.

    loss = sum_parts loss_part,    loss_part = (rows of the part / rows of the batch) x mean over its rows

Every part draws the noise of the whole batch from the same random state and keeps that of its own rows. So the number
of parts does not change the results, except for rounding. Source: ours.
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
    """Part `index` of `count` parts, whose sizes differ by one row at most."""

    index: int
    count: int

    def of(self, num_rows: int) -> slice:
        """The rows of this part out of `num_rows`.  Raises: ValueError if there are fewer rows than parts."""
        if num_rows < self.count:
            raise ValueError(
                f"got {num_rows} rows of one kind (guided, rollout or watched; or puzzles to sample) for {self.count} "
                "parts; expected as many rows as parts; write a larger train.batch_size or a smaller train.accumulate, "
                "or start fewer processes"
            )
        return slice(num_rows * self.index // self.count, num_rows * (self.index + 1) // self.count)

    def noise(self, num_puzzles: int, rows_each: int = 1) -> AbstractContextManager:
        """A context in which the latents of this part are as in the whole batch. A puzzle has `rows_each` rows."""
        if self.count == 1:
            return nullcontext()
        mine = self.of(num_puzzles)
        return RowNoise(slice(rows_each * mine.start, rows_each * mine.stop), rows_each * num_puzzles)


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """A context that restores the random state at its end, so that the next part draws the same noise."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def own_noise(part: Part, device: torch.device) -> Iterator[None]:
    """A context with random numbers of this part alone, for code that draws them without a row."""
    seed = torch.randint(2**62, ()).item()
    with random_state_kept(device):
        torch.manual_seed(seed + part.index)
        yield


class RowNoise(Messenger):
    """Draws the latents z_t as those of the rows `mine` in a batch of `num_rows`."""

    def __init__(self, mine: slice, num_rows: int) -> None:
        super().__init__()
        self.mine, self.num_rows = mine, num_rows

    def _pyro_sample(self, msg: Message) -> None:
        if msg["name"].startswith("z_") and msg["value"] is None:
            with WholeBatch(msg["fn"].batch_shape, self.mine, self.num_rows):
                msg["value"] = msg["fn"](*msg["args"], **msg["kwargs"])
            msg["done"] = True


class WholeBatch(TorchDispatchMode):
    """A mode in which every random operation for the rows `mine` draws for all `num_rows` rows and keeps its own.

    It recognises random operations by torch's tag. It works for every sampler that draws a fixed number of random
    values per row (that of a Gamma law with varying shape does not).
    Args: batch_shape [..., B] of the law; its last dimension counts the rows.
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
        """[..., b, *] to [..., B, *]; rows of other parts are copies of one of ours."""
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
        """The tensor itself if its shape begins with batch_shape; otherwise its first dimension is split."""
        if tensor.shape[: len(batch_shape)] == batch_shape:
            return tensor
        return tensor.unflatten(0, (*batch_shape, len(tensor) // math.prod(batch_shape)))
