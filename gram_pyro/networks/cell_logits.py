"""Logits of the cells of every token, for what draws on a canvas: from the token alone, or with the pixels around.

    TokenLogits   logits = net(u)
    PixelLogits   m, c = whole(net(u)), whole(canvas);   logits = m_{1..V} + conv(silu(conv([m_{V+1..}, c])))

When an image is nearly drawn, what is left to say of a pixel stands in the pixels around it, some of them in the next
patch.  Source: ours; that the input goes to the output past the network is U-Net's (arXiv:1505.04597).
"""

import torch
from torch import Tensor, nn

from gram_pyro.networks.layers import SwiGLU
from gram_pyro.networks.patches import by_patch, check_columns, whole


class TokenLogits(SwiGLU):
    """Args: dim D; hidden D_h; num_symbols V; columns of an image and the side P of its patches: G = P^2.

    Shapes: u [..., S, D], canvas [..., S, G, V] -> [..., S, G, V].
    """

    def __init__(self, dim: int, hidden: int, num_symbols: int, columns: int = 1, patch: int = 1) -> None:
        super().__init__(dim, hidden, num_symbols * patch**2)
        self.cells = (patch**2, num_symbols)

    def forward(self, u: Tensor, canvas: Tensor) -> Tensor:
        return super().forward(u).unflatten(-1, self.cells)


class PixelLogits(nn.Module):
    """Args: as for TokenLogits; maps of the tokens that the convolutions read, and their channels and odd kernel.

    Shapes: as for TokenLogits.
    Raises: ValueError if patches do not tile the columns, the kernel is even, or maps is negative.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        num_symbols: int,
        columns: int,
        patch: int,
        maps: int = 8,
        channels: int = 16,
        kernel: int = 5,
    ) -> None:
        super().__init__()
        check_columns(columns, patch)
        if kernel % 2 == 0:
            raise ValueError(f"got kernel={kernel}; expected an odd one, whose middle is the pixel")
        if maps < 0:
            raise ValueError(f"got maps={maps}; expected 0 or more; with 0 the convolutions read the canvas alone")
        self.columns, self.patch, self.num_symbols = columns, patch, num_symbols
        self.net = SwiGLU(dim, hidden, patch**2 * (num_symbols + maps))
        self.convolve = nn.Sequential(
            nn.Conv2d(num_symbols + maps, channels, kernel, padding=kernel // 2),
            nn.SiLU(),
            nn.Conv2d(channels, num_symbols, kernel, padding=kernel // 2),
        )

    def forward(self, u: Tensor, canvas: Tensor) -> Tensor:
        logits, maps = self.net(u).unflatten(-1, (self.patch**2, -1)).tensor_split([self.num_symbols], -1)
        cells = torch.cat([maps, canvas.to(maps.dtype)], -1).movedim(-1, -3)  # [..., channels, S, P^2]
        image = whole(cells, self.columns, self.patch).unflatten(-1, (-1, self.columns))
        around = self.convolve(image.reshape(-1, *image.shape[-3:])).view(*image.shape[:-3], self.num_symbols, -1)
        return logits + by_patch(around, self.columns, self.patch).movedim(-3, -1)
