"""The contract of a core."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from gram_pyro.contract.laws import DIM, LEADING, NUM_CELLS, NUM_PUZZLES, ContractError, close, laboratory
from gram_pyro.networks.core import Core, State

NUM_STEPS = 2  # transitions in a row, so that parameters which act through the next transition get a gradient


def check_core(make: Callable[..., Core], relations: object = None, num_cells: int = NUM_CELLS) -> None:
    """Check a core, given as a function make(dim, num_cells, relations), such as a partial of its class.

    The core has width 16 and, by default, 4 cells on a 2 x 2 board whose relations are rows and columns. Checked are:
    states have the shape of e, are finite, and have its dtype under bf16 autocast; they are a function of (e, state),
    independently for every index of the leading dimensions; no method writes to its input or to a buffer; every
    parameter gets a gradient; torch.compile traces the methods named in `compiles` in one graph.

    Raises: ContractError, with the first mistake found.
    """
    with laboratory():
        core = make(dim=DIM, num_cells=num_cells, relations=rows_and_columns() if relations is None else relations)
        if not isinstance(core, Core):
            raise ContractError(f"got a {type(core).__name__} from {make}; expected a gram_pyro.Core")
        core, name = core.float(), type(core).__name__
        e, h, low = (torch.randn(*LEADING, NUM_PUZZLES, num_cells, DIM, dtype=torch.float32) for _ in range(3))
        check_states(name, core, e, State(h, low))
        check_function(name, core, e, State(h, low))
        check_start(name, core, e)
        check_rows(name, core, e, State(h, low))
        check_gradients(name, core, e, State(h, low))
        check_compiles(name, core, e, State(h, low))


def rows_and_columns() -> Tensor:
    """Which cells of a 2 x 2 board share a row or a column, [2, 4, 4] bool."""
    row, column = torch.arange(NUM_CELLS) // 2, torch.arange(NUM_CELLS) % 2
    return torch.stack([line[:, None] == line for line in (row, column)])


def calls(core: Core, e: Tensor, state: State) -> Iterator[tuple[str, State]]:
    """Every method and the state that it returns.  Raises: ContractError if a method raises anything."""
    methods = {
        "predict(e, state)": lambda: core.predict(e, state),
        "perturb(state, z)": lambda: core.perturb(state, state.l),
        "init(e)": lambda: core.init(e),
    }
    for what, call in methods.items():
        try:
            found = call()
        except Exception as error:
            raise ContractError(
                f"{type(core).__name__}: {what} fails where e has shape {list(e.shape)}; expected it to accept any "
                f"dims before [L, D] ({type(error).__name__}: {str(error).splitlines()[0]})"
            ) from error
        yield what, found


def check_states(name: str, core: Core, e: Tensor, state: State) -> None:
    """Check shapes, finite numbers and dtypes."""
    for size in (1, 0, 1000):
        for what, found in calls(core, size * e, State(size * state.h, size * state.l)):
            if not isinstance(found, State) or {found.h.shape, found.l.shape} != {e.shape}:
                shapes = [list(part.shape) for part in found] if isinstance(found, tuple) else type(found).__name__
                raise ContractError(f"{name}: got {shapes} from {what}; expected a State of h and l {list(e.shape)}")
            if not all(torch.isfinite(part).all() for part in found):
                raise ContractError(
                    f"{name}: {what} is not finite where |e| and |h| are up to {size * 4}; expected finite states; "
                    "write normalise(...)"
                )
    with torch.autocast("cpu", torch.bfloat16):
        for what, found in calls(core, e, state):
            if {part.dtype for part in found} != {e.dtype}:
                raise ContractError(
                    f"{name}: got {found.h.dtype}, {found.l.dtype} from {what} under bf16 autocast; expected "
                    f"{e.dtype}; write .to(e.dtype) on the results of linear maps"
                )


def check_function(name: str, core: Core, e: Tensor, state: State) -> None:
    """Check that equal inputs give equal states, and that no input, buffer or random state changes."""
    given = [part.clone() for part in (e, *state)]
    stored = {key: value.clone() for key, value in core.state_dict().items()}
    random = torch.get_rng_state()
    first = core.predict(e, state)
    drawn = not torch.equal(random, torch.get_rng_state())
    if drawn or not close_states(core.predict(e, state), first):
        raise ContractError(
            f"{name}: two calls of predict with one (e, state) gave two states or drew a random number; expected a "
            "function: no dropout, counter or draw (only the prior draws)"
        )
    for what, _ in calls(core, e, state):
        if not all(torch.equal(one, before) for one, before in zip((e, *state), given, strict=True)):
            raise ContractError(f"{name}: {what} writes into its arguments; expected new tensors; write a = a + b")
        if any(not torch.equal(value, stored[key]) for key, value in core.state_dict().items()):
            raise ContractError(f"{name}: {what} writes into a buffer or parameter; expected it to change neither")
    z = torch.randn_like(state.h)
    if close_states(core.perturb(state, z), core.perturb(state, -z)):
        raise ContractError(f"{name}: got one state from perturb for two latents; expected h to depend on z: h = u + z")


def check_rows(name: str, core: Core, e: Tensor, state: State) -> None:
    """Check that leading dimensions act as a loop."""
    together = dict(calls(core, e, state))
    for place in ((0, 0, 0), (1, 3, 2)):
        for what, alone in calls(core, e[place], State(state.h[place], state.l[place])):
            row = State(together[what].h[place], together[what].l[place])
            if not (close_states(alone, row) or (core.starts_at_random and what == "init(e)")):
                raise ContractError(
                    f"{name}: {what} of one puzzle changes if others are in the batch; expected no operation to mix "
                    "the dims before [L, D] (a mean over the batch, a batch norm, a view)"
                )


def check_start(name: str, core: Core, e: Tensor) -> None:
    """Check that a core declares whether it draws its initial state."""
    drawn = not close_states(core.init(e), core.init(e))
    if drawn != core.starts_at_random:
        raise ContractError(
            f"{name}: starts_at_random is {core.starts_at_random} and two calls of init gave "
            f"{'two states' if drawn else 'one state'}; write starts_at_random = {drawn} in the class"
        )


def check_gradients(name: str, core: Core, e: Tensor, state: State) -> None:
    """Check that every parameter changes the state after NUM_STEPS transitions."""
    for _ in range(NUM_STEPS):
        state = core.predict(e, state)
    start = core.init(e)
    sum((part * torch.randn_like(part)).sum() for part in (*state, *start)).backward()
    if still := [key for key, p in core.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]:
        raise ContractError(
            f"{name}: no gradient reaches {', '.join(still)}; use it in the state, or leave it out (look for detach, "
            "no_grad or .data)"
        )


@torch.no_grad()
def check_compiles(name: str, core: Core, e: Tensor, state: State) -> None:
    """Check that the methods named in `compiles` exist, and that torch.compile traces each in one graph."""
    methods = [(module, method) for module in core.modules() for method in getattr(module, "compiles", ())]
    plain = core.predict(e, state)
    for module, method in methods:
        if not callable(getattr(module, method, None)):
            raise ContractError(
                f"{name}: got {method!r} in compiles of {type(module).__name__}, which has no such method; expected "
                "names of methods; write compiles = ('forward',)"
            )
        setattr(module, method, torch.compile(getattr(module, method), backend="eager", fullgraph=True))
    try:
        fast = core.predict(e, state)
    except torch._dynamo.exc.TorchDynamoException as problem:
        reason = str(problem).strip().splitlines()[0].rstrip(".")
        raise ContractError(
            f"{name}: a method named in compiles is not a pure function of tensors ({reason}); leave it out of compiles"
        ) from None
    finally:
        for module, method in methods:
            uncompile(module, method)
    if not close_states(fast, plain):
        raise ContractError(f"{name}: predict gave another state when compiled; leave the method out of compiles")


def uncompile(module: nn.Module, method: str) -> None:
    """Restore the method of the class."""
    vars(module).pop(method, None)


def close_states(a: State, b: State) -> bool:
    return close(a.h, b.h) and close(a.l, b.l)
