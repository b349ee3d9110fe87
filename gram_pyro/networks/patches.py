"""Images as tokens: a convolutional stem gives one token per patch; the readout gives the pixels of every patch.

    e = W patchify(c(c(s(x)))) + position,   c(v) = norm(silu(conv(v))),   s(x) = 2 x / (V - 1) - 1
    p(y | h) = prod_pixels softmax(unpatchify(W' h))[y_pixel]

Source: paper D.4 and B.1 (5 x 5 convolutions with D / 2 channels, group norm, patches of 2 x 2); the learnt positions
are ours.
"""

from torch import Tensor, nn

from gram_pyro.networks.embed import Embedding
from gram_pyro.networks.layers import Linear
from gram_pyro.networks.readout import CluesCount


def check_grid(rows: int, columns: int, patch: int) -> None:
    """Raises: ValueError unless patches tile the image."""
    if patch < 1 or rows % patch or columns % patch:
        raise ValueError(
            f"got patch={patch}; expected a side that divides both sides of an image of {rows} x {columns}; write "
            "another patch"
        )


def check_columns(columns: int, patch: int) -> None:
    """Raises: ValueError unless patches tile a row of the image."""
    if patch < 1 or columns % patch:
        raise ValueError(
            f"got patch={patch} and columns={columns}; expected a side that divides the columns of the image"
        )


def by_patch(cells: Tensor, columns: int, patch: int) -> Tensor:
    """The pixels of every patch, row by row; of patches of one pixel, a cell for each token.

    Shapes: [..., L] -> [..., S, P^2].
    """
    image = cells.unflatten(-1, (-1, patch, columns // patch, patch))  # [..., row, P, column, P]
    return image.transpose(-3, -2).flatten(-2).flatten(-3, -2)


def whole(cells: Tensor, columns: int, patch: int) -> Tensor:
    """The image of patches, the inverse of `by_patch`.  Shapes: [..., S, P^2] -> [..., L]."""
    image = cells.unflatten(-1, (patch, patch)).unflatten(-3, (-1, columns // patch))
    return image.transpose(-3, -2).flatten(-4)


class PatchEmbedding(Embedding):
    """Args: num_symbols V; dim D; rows, columns of the image; patch P; channels and kernel of the two convolutions;
    groups of the norm.  Shapes: [..., L] int -> [..., S, D], L = rows columns, S = L / P^2.

    Raises: ValueError if patches do not tile the image, the kernel is even, or the task's images have another size.
    """

    def __init__(
        self,
        num_symbols: int,
        dim: int,
        rows: int,
        columns: int,
        patch: int,
        channels: int,
        kernel: int = 5,
        groups: int = 8,
    ) -> None:
        super().__init__()
        check_grid(rows, columns, patch)
        if kernel % 2 == 0 or channels % groups:
            raise ValueError(
                f"got kernel={kernel}, channels={channels}, groups={groups}; expected an odd kernel, and a number of "
                "channels that groups divides"
            )
        self.sizes = {"num_symbols": num_symbols, "dim": dim, "rows": rows, "columns": columns, "patch": patch}
        self.sizes |= {"channels": channels, "kernel": kernel, "groups": groups}
        self.num_symbols, self.rows, self.columns = num_symbols, rows, columns
        self.stem = nn.Sequential(
            *conv_block(1, channels, kernel, groups), *conv_block(channels, channels, kernel, groups)
        )
        self.patchify = nn.Unfold(patch, stride=patch)
        self.tokens = Linear(channels * patch**2, dim)
        self.positions = nn.Embedding(rows * columns // patch**2, dim)
        nn.init.normal_(self.positions.weight)

    def num_tokens(self, num_cells: int) -> int:
        if num_cells != self.rows * self.columns:
            raise ValueError(
                f"got puzzles of {num_cells} cells; expected images of {self.rows} x {self.columns} pixels; write "
                "embed.rows and embed.columns, or embed=tokens"
            )
        return self.positions.num_embeddings

    def for_target(self) -> nn.Module:
        return PatchEmbedding(**self.sizes)

    def forward(self, x: Tensor) -> Tensor:
        scaled = 2 * x.to(self.tokens.weight.dtype) / (self.num_symbols - 1) - 1
        image = scaled.reshape(-1, 1, self.rows, self.columns)
        patches = self.patchify(self.stem(image)).transpose(-1, -2)  # [N, S, channels P^2]
        tokens = self.tokens(patches) + self.positions.weight
        return tokens.view(*x.shape[:-1], *tokens.shape[-2:])


def conv_block(channels_in: int, channels: int, kernel: int, groups: int) -> tuple[nn.Module, ...]:
    """norm(silu(conv(v))); the size of the image does not change."""
    return nn.Conv2d(channels_in, channels, kernel, padding=kernel // 2), nn.SiLU(), nn.GroupNorm(groups, channels)


class Unpatch(nn.Module):
    """Logits of every pixel from the tokens of their patches.  Shapes: [..., S, D] -> [..., L, V]."""

    def __init__(self, num_symbols: int, dim: int, rows: int, columns: int, patch: int) -> None:
        super().__init__()
        check_grid(rows, columns, patch)
        self.grid = (rows // patch, columns // patch, patch, patch, num_symbols)
        self.logits = Linear(dim, patch**2 * num_symbols)

    def forward(self, h: Tensor) -> Tensor:
        pixels = self.logits(h).unflatten(-1, self.grid[2:]).unflatten(-4, self.grid[:2])
        return pixels.transpose(-4, -3).flatten(-5, -2)  # [..., row, P, column, P, V] as [..., L, V]


def patch_readout(num_symbols: int, dim: int, rows: int, columns: int, patch: int) -> CluesCount:
    """Independent categorical pixels; a token gives the logits of its patch.  Args: as for PatchEmbedding.

    It is trained on known pixels too. Without them completions and images are worse: the state forgets what is given.
    """
    readout = CluesCount(dim, num_symbols)
    readout.logits = Unpatch(num_symbols, dim, rows, columns, patch)
    return readout
