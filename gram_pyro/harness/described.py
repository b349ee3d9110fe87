"""A program as text: parts with their parameters, and the sites of a segment with their laws and shapes.

Source: ours.
"""

from gram_pyro.guide import Guide
from gram_pyro.model import GRAM
from gram_pyro.networks.heads import Heads


def described(model: GRAM, guide: Guide, heads: Heads) -> str:
    """The text that `print(program)` shows."""
    parts = {f"model.{name}": part for name, part in model.named_children()} | {"guide": guide, "heads": heads}
    sizes = {place: sum(p.numel() for p in part.parameters()) for place, part in parts.items()}
    rows = [(place, type(part).__name__, f"{sizes[place]:>9,}") for place, part in parts.items()]
    last, state = model.num_transitions - 1, f"[B, L, {heads.badness.gate_up.in_features}]"
    sites = [
        (f"u_0 .. u_{last}", state, "predicted states, deterministic"),
        (f"z_0 .. z_{last}", state, f"latents: prior {type(model.prior).__name__}, guide {type(guide).__name__}"),
        ("h, l", state, "the final state, deterministic"),
        ("y", "[B, L]", f"the solution: readout {type(model.readout).__name__}"),
    ]
    first, second = (max(len(row[i]) for row in rows + sites) for i in (0, 1))
    lines = [f"  {place:{first}}  {kind:{second}}  {rest}" for place, kind, rest in rows + sites]
    head = f"a program of {sum(sizes.values()):,} parameters"
    return "\n".join([head, *lines[: len(rows)], "sites of a segment, of B puzzles with L cells", *lines[len(rows) :]])
