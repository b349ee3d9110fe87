"""Logits of the cells of a token: from the token alone, and with the pixels around, against sums written out."""

import pytest
import torch
from tiny import D, close

from gram_pyro.networks.cell_logits import PixelLogits, TokenLogits

ROWS, COLUMNS, PATCH, V = 4, 6, 2, 2
TOKENS = ROWS * COLUMNS // PATCH**2


def place(token, cell):
    """Row and column of a cell of a token."""
    row, column = divmod(token, COLUMNS // PATCH)
    return PATCH * row + cell // PATCH, PATCH * column + cell % PATCH


def around(image, layer):
    """A convolution as a sum over the pixels around every pixel.  Shapes: [C, R, S] -> [C', R, S]."""
    radius, out = layer.weight.shape[-1] // 2, layer.bias[:, None, None].repeat(1, ROWS, COLUMNS)
    for r in range(ROWS):
        for c in range(COLUMNS):
            for i in range(-radius, radius + 1):
                for j in range(-radius, radius + 1):
                    if 0 <= r + i < ROWS and 0 <= c + j < COLUMNS:
                        out[:, r, c] += layer.weight[:, :, i + radius, j + radius] @ image[:, r + i, c + j]
    return out


def test_a_pixel_sees_the_tokens_and_the_canvas_around_it():
    maps, net = 3, PixelLogits(D, 6, V, COLUMNS, PATCH, maps=3, channels=4, kernel=3)
    u, canvas = torch.randn(2, TOKENS, D), torch.rand(2, TOKENS, PATCH**2, V)
    told = net.net(u).view(2, TOKENS, PATCH**2, V + maps)
    for row, found in enumerate(net(u, canvas)):
        image = torch.zeros(maps + V, ROWS, COLUMNS)
        for token in range(TOKENS):
            for cell in range(PATCH**2):
                r, c = place(token, cell)
                image[:, r, c] = torch.cat([told[row, token, cell, V:], canvas[row, token, cell]])
        hidden = around(image, net.convolve[0])
        seen = around(hidden * hidden.sigmoid(), net.convolve[2])
        for token in range(TOKENS):
            for cell in range(PATCH**2):
                r, c = place(token, cell)
                close(found[token, cell], told[row, token, cell, :V] + seen[:, r, c], 1e-10)


def test_leading_dims_are_kept_apart():
    net = PixelLogits(D, 6, V, COLUMNS, PATCH)
    u, canvas = torch.randn(3, 2, TOKENS, D), torch.rand(3, 2, TOKENS, PATCH**2, V)
    assert net(u, canvas).shape == (3, 2, TOKENS, PATCH**2, V)
    close(net(u, canvas)[1, 1], net(u[1, 1], canvas[1, 1]), 1e-12)


def test_a_token_alone_tells_its_own_cells():
    net = TokenLogits(D, 6, V, COLUMNS, PATCH)
    u, canvas = torch.randn(2, TOKENS, D), torch.rand(2, TOKENS, PATCH**2, V)
    found = net(u, canvas)
    assert found.shape == (2, TOKENS, PATCH**2, V) and torch.equal(found, net(u, canvas + 1))
    other = u.clone()
    other[:, 1] += 1.0
    changed = (net(other, canvas) != found).flatten(2).any(-1)
    assert changed[:, 1].all() and changed.sum() == 2


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="got kernel=4; expected an odd one, whose middle is the pixel"):
        PixelLogits(D, 6, V, COLUMNS, PATCH, kernel=4)
    with pytest.raises(ValueError, match="got maps=-1; expected 0 or more; with 0 the convolutions read the canvas"):
        PixelLogits(D, 6, V, COLUMNS, PATCH, maps=-1)
    assert PixelLogits(D, 6, V, COLUMNS, PATCH, maps=0)(torch.randn(6, D), torch.rand(6, 4, V)).shape == (6, 4, V)
    with pytest.raises(ValueError, match="got patch=4 and columns=6; expected a side that divides the columns"):
        PixelLogits(D, 6, V, COLUMNS, 4)
