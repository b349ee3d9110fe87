"""Images as tokens: the stem against convolutions written out, its inverse, and a model of both."""

import pytest
import torch
from image_files import COLUMNS, PATCH, ROWS, SIZES, D, L, V
from pyro import poutine
from tiny import close, mixing
from torch import nn

from gram_pyro.model import GRAM
from gram_pyro.networks.core import Hierarchical, State
from gram_pyro.networks.patches import PatchEmbedding, Unpatch, patch_readout
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.tasks.images import WHITE
from guides.concat import Concat


def embedding(**options):
    return PatchEmbedding(V, D, **(SIZES | {"channels": 4, "groups": 2, "kernel": 3} | options))


def test_the_stem_against_convolutions_written_out():
    """A convolution is a sum over shifted images; a token reads the pixels of its patch and no others."""
    embed = embedding()

    def conv(image, layer):  # [C, R, S]
        weight, bias = layer.weight, layer.bias
        radius = weight.shape[-1] // 2
        wide = nn.functional.pad(image, (radius,) * 4)
        out = bias[:, None, None] + torch.zeros(len(weight), ROWS, COLUMNS)
        for i in range(weight.shape[-2]):
            for j in range(weight.shape[-1]):
                out = out + torch.einsum("oc,crs->ors", weight[:, :, i, j], wide[:, i : i + ROWS, j : j + COLUMNS])
        out = out * out.sigmoid()
        groups = out.unflatten(0, (2, 2))
        mean, var = groups.mean((1, 2, 3), keepdim=True), groups.var((1, 2, 3), unbiased=False, keepdim=True)
        return ((groups - mean) / (var + 1e-5).sqrt()).flatten(0, 1)

    x = torch.randint(V, (2, L))
    for row, tokens in zip(x, embed(x), strict=True):
        image = (row.double() - 1).view(1, ROWS, COLUMNS)  # 0, 1, 2 as -1, 0, 1
        image = conv(conv(image, embed.stem[0]), embed.stem[3])
        for r in range(ROWS // PATCH):
            for c in range(COLUMNS // PATCH):
                patch = image[:, PATCH * r : PATCH * (r + 1), PATCH * c : PATCH * (c + 1)]
                token = r * (COLUMNS // PATCH) + c
                expected = embed.tokens.weight @ patch.flatten() + embed.positions.weight[token]
                close(tokens[token], expected, 1e-10)


def test_leading_dims_and_the_target_embedding():
    embed = embedding()
    x = torch.randint(V, (3, 2, L))
    assert embed(x).shape == (3, 2, 6, D) and embed.num_tokens(L) == 6
    close(embed(x)[1, 1], embed(x[1, 1]), 1e-12)
    twin = embed.for_target()
    shapes = [{n: p.shape for n, p in part.named_parameters()} for part in (embed, twin)]
    assert shapes[0] == shapes[1] and not torch.equal(twin(x), embed(x))


def test_unpatch_is_the_inverse_of_patchify():
    image = torch.randn(5, L)
    patches = nn.Unfold(PATCH, stride=PATCH)(image.view(5, 1, ROWS, COLUMNS)).transpose(1, 2)  # [5, S, P^2]
    unpatch = Unpatch(2, 2 * PATCH**2, ROWS, COLUMNS, PATCH)
    nn.init.eye_(unpatch.logits.weight)  # a channel per pixel of the patch and symbol
    logits = unpatch(torch.stack([patches, -patches], -1).flatten(-2))
    assert torch.equal(logits, torch.stack([image, -image], -1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 4}, "got patch=4; expected a side that divides both sides of an image of 4 x 6"),
        ({"kernel": 4}, "kernel=4"),
        ({"groups": 3}, "groups=3"),
    ],
)
def test_sizes_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        embedding(**options)


def test_a_task_of_another_size():
    with pytest.raises(ValueError, match="got puzzles of 25 cells; expected images of 4 x 6 pixels"):
        embedding().num_tokens(25)


def test_a_model_of_images_runs_and_its_guide_reads_patches():
    embed = embedding()
    core = Hierarchical(D, embed.num_tokens(L), None, mixing, num_layers=1)
    model = GRAM(embed, core, Gaussian(D), patch_readout(V, D, **SIZES), num_transitions=2)
    guide = Concat(model, D)
    assert isinstance(guide.q_embed, PatchEmbedding)
    x, y = torch.zeros(3, L, dtype=torch.int64), torch.randint(1, V, (3, L))
    guide(x, y)
    state = guide.final_state()
    law = model.readout(state)
    assert state.h.shape == (3, 6, D) and law.batch_shape == (3,) and law.event_shape == (L,)
    close(model.readout.log_prob_each(state, None, y[:, None])[:, 0], law.log_prob(y), 1e-10)
    assert model.readout.answer(state).shape == (3, L)


def test_state_of_patches_reads_symbols_in_their_place():
    """Logits that favour a symbol in one pixel of one patch show there."""
    readout = patch_readout(V, D, **SIZES)
    nn.init.zeros_(readout.logits.logits.weight)
    with torch.no_grad():
        readout.logits.logits.weight[1 * V + WHITE, 0] = 1.0  # the second pixel of a patch
    h = torch.zeros(1, 6, D)
    h[0, 4, 0] = 5.0  # the patch of row 1, column 1
    answer = readout.answer(State(h, h)).view(ROWS, COLUMNS)
    assert answer.nonzero().tolist() == [[2, 3]] and answer[2, 3] == WHITE


def test_known_pixels_count_in_what_is_trained_and_in_no_answer():
    """The site y is the law of all pixels; the law that answers and bounds use holds the known ones fixed."""
    embed = embedding()
    core = Hierarchical(D, embed.num_tokens(L), None, mixing, num_layers=1)
    model = GRAM(embed, core, Gaussian(D), patch_readout(V, D, **SIZES), num_transitions=2)
    y = torch.randint(1, V, (3, L))
    x = torch.where(torch.rand(3, L) < 0.5, y, 0)
    sites = poutine.trace(model).get_trace(x, y)
    state = State(sites.nodes["h"]["value"], sites.nodes["l"]["value"])
    logits = model.readout.logits(state.h).log_softmax(-1)
    all_of_it = logits.gather(-1, y[..., None]).squeeze(-1)
    close(sites.nodes["y"]["fn"].log_prob(y), all_of_it.sum(-1), 1e-10)
    close(model.readout(state, x).log_prob(y), (all_of_it * (x == 0)).sum(-1), 1e-10)
    assert (model.readout.answer(state, x) == x)[x > 0].all()
