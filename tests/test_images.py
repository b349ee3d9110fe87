"""Images: files and masks, the stem and its inverse, and scores against closed forms."""

import csv
import gzip
import json
import lzma

import numpy as np
import pyro
import pytest
import torch
from hydra import compose, initialize_config_dir
from scripts import ROOT, experiment
from tiny import close, mixing
from torch import nn

from gram_pyro.core import Hierarchical, State
from gram_pyro.image_scores import (
    Classifier,
    Reading,
    cached_classifier,
    class_score,
    frechet,
    jackknife,
    read,
    scores,
)
from gram_pyro.model import GRAM
from gram_pyro.patches import PatchEmbedding, Unpatch, patch_readout
from gram_pyro.priors.gaussian import Gaussian
from gram_pyro.tasks.base import draw_batch
from gram_pyro.tasks.images import BLACK, UNKNOWN, WHITE, Images, read_images, read_labels
from guides.concat import Concat

ROWS, COLUMNS, PATCH, V, D = 4, 6, 2, 3, 8
L = ROWS * COLUMNS
SIZES = {"rows": ROWS, "columns": COLUMNS, "patch": PATCH}


def write_idx(path, labels):
    with gzip.open(path, "wb") as file:
        file.write(b"\0\0\x08\x01" + len(labels).to_bytes(4, "big") + bytes(labels))


@pytest.fixture
def files(tmp_path):
    """40 training images of two classes, a white left or right half with a little noise, and 10 test images."""
    random = np.random.default_rng(0)
    bits = {}
    for name, num in (("train", 40), ("test", 10)):
        labels = np.arange(num) % 2
        image = (np.arange(L) % COLUMNS < COLUMNS // 2) ^ labels[:, None].astype(bool)
        bits[name] = image ^ (random.random(image.shape) < 0.05)
        with lzma.open(tmp_path / f"{name}.xz", "wb") as file:
            file.write(np.packbits(bits[name], axis=1).tobytes())
        write_idx(tmp_path / f"{name}.gz", labels.tolist())
    arguments = {"train": tmp_path / "train.xz", "test": tmp_path / "test.xz"}
    arguments |= {"train_labels": tmp_path / "train.gz", "test_labels": tmp_path / "test.gz"}
    return arguments | {"rows": ROWS, "columns": COLUMNS}, bits


# ---------------------------------------------------------------------------------------------- the task


def test_images_are_read_bit_by_bit(files):
    arguments, bits = files
    task = Images(**arguments)
    assert (task.train.solutions.numpy() - BLACK == bits["train"]).all()
    assert (task.train.x == UNKNOWN).all() and task.train.x.shape == (40, L)
    assert task.train_labels.tolist() == [0, 1] * 20
    assert set(task.test) == {"generation", "inpainting"}
    for puzzles in task.test.values():
        assert (puzzles.solutions.numpy() - BLACK == bits["test"]).all()
        assert puzzles.num_solutions.tolist() == [1] * 10
        assert task.is_solved(puzzles.x, puzzles.solutions).all()
    x = task.test["inpainting"].x.view(-1, ROWS, COLUMNS)
    assert (x[:, : ROWS // 2] != UNKNOWN).all() and (x[:, ROWS // 2 :] == UNKNOWN).all()
    assert (task.test["generation"].x == UNKNOWN).all()


def test_an_answer_keeps_what_is_known_and_leaves_no_pixel_open(files):
    task = Images(**files[0])
    puzzles = task.test["inpainting"]
    y = puzzles.solutions[0]
    flipped = y.clone()
    flipped[0], flipped[-1] = BLACK + WHITE - y[0], BLACK + WHITE - y[-1]  # one known pixel, one unknown
    open_one = y.index_fill(0, torch.tensor([L - 1]), UNKNOWN)
    answers = torch.stack([y, flipped, open_one])
    assert task.violations(puzzles.x[0], answers).tolist() == [0, 1, 1]
    assert task.is_solved(puzzles.x[0], answers).tolist() == [True, False, False]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_training_shows_one_half_of_a_share_of_the_images(files, share):
    task = Images(**files[0], known_share=share)
    generator = torch.Generator().manual_seed(0)
    batch = task.augment(draw_batch(task.train, torch.arange(40).repeat(50), generator), generator)
    known = (batch.x != UNKNOWN).view(-1, ROWS, COLUMNS)
    assert (batch.x == batch.y)[known.flatten(1)].all()
    half = torch.zeros(4, ROWS, COLUMNS, dtype=torch.bool)
    half[0, : ROWS // 2], half[1, ROWS // 2 :] = True, True
    half[2, :, : COLUMNS // 2], half[3, :, COLUMNS // 2 :] = True, True
    counts = torch.stack([(known == side).flatten(1).all(1).sum() for side in half])
    shown = known.flatten(1).any(1).sum()
    assert counts.sum() == shown
    assert abs(shown - 2000 * share) < 4 * (2000 * share * (1 - share)) ** 0.5 + 1e-9
    assert ((counts - shown / 4).abs() <= 4 * (shown * 3 / 16) ** 0.5).all()
    assert torch.equal(batch.y, task.train.solutions.repeat(50, 1))
    assert torch.equal(batch.solutions[:, 0], batch.y) and batch.valid.all()


def test_files_that_are_not_what_they_should_be(files, tmp_path):
    arguments = files[0]
    with pytest.raises(ValueError, match="train.xz holds 120 bytes, and images of 56 pixels take 7 bytes each"):
        read_images(arguments["train"], 56)
    with pytest.raises(ValueError, match="is not a whole IDX file"):
        read_labels(arguments["train"])
    with pytest.raises(ValueError, match="holds 40 images and its labels are 10"):
        Images(**arguments | {"train_labels": arguments["test_labels"]})
    with pytest.raises(FileNotFoundError, match="none.xz is not there"):
        Images(**arguments | {"test": "none.xz"})
    (tmp_path / "cut.xz").write_bytes((tmp_path / "train.xz").read_bytes()[:-20])
    with pytest.raises(ValueError, match="cut.xz is damaged"):
        read_images(tmp_path / "cut.xz", L)
    with pytest.raises(ValueError, match="known_share=1.5 came"):
        Images(**arguments, known_share=1.5)


# ---------------------------------------------------------------------------------------------- stem and readout


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
        ({"patch": 4}, "patches of 4 x 4 pixels do not tile an image of 4 x 6"),
        ({"kernel": 4}, "kernel=4"),
        ({"groups": 3}, "groups=3"),
    ],
)
def test_sizes_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        embedding(**options)


def test_a_task_of_another_size():
    with pytest.raises(ValueError, match="images of 4 x 6 pixels, and the task's puzzles have 25 cells"):
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
    close(model.readout.log_prob_each(state, y[:, None])[:, 0], law.log_prob(y), 1e-10)
    assert model.readout.answer(state).shape == (3, L)


# ---------------------------------------------------------------------------------------------- scores


def test_class_score_at_its_ends_and_in_between():
    def of(rows):
        return class_score(Reading(torch.zeros(len(rows), 1), torch.tensor(rows).double())).item()

    assert of([[1.0, 0, 0]] * 4) == pytest.approx(1.0)  # one class
    assert of([[1 / 3] * 3] * 4) == pytest.approx(1.0)  # no class
    assert of(torch.eye(3).tolist()) == pytest.approx(3.0)  # all classes
    p = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]).double()
    by_hand = sum((row * (row / p.mean(0)).log()).sum() for row in p) / 2
    assert of(p.tolist()) == pytest.approx(by_hand.exp().item())


def test_frechet_in_closed_form():
    """Commuting covariances: sum of (s - s')^2 over their common axes; and against the root of S S' itself."""
    axes = torch.linalg.qr(torch.randn(3, 3))[0]
    white = torch.randn(500, 3)
    white = (white - white.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(white.T.cov())).T  # moments 0 and 1
    one, other = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([3.0, 1.0, 0.5])
    shift = torch.tensor([1.0, -2.0, 0.0])
    distance = frechet(white @ torch.diag(one) @ axes, white @ torch.diag(other) @ axes + shift)
    close(distance, ((one - other) ** 2).sum() + (shift**2).sum(), 1e-8)
    a, b = torch.randn(50, 3) @ torch.randn(3, 3), torch.randn(60, 3) @ torch.randn(3, 3)
    roots = torch.linalg.eigvals(a.T.cov() @ b.T.cov()).real.sqrt().sum()
    gap = ((a.mean(0) - b.mean(0)) ** 2).sum()
    close(frechet(a, b), gap + a.T.cov().trace() + b.T.cov().trace() - 2 * roots, 1e-8)
    close(frechet(a, a), torch.tensor(0.0), 1e-8)


def test_jackknife_of_a_mean_is_its_standard_error():
    """With groups of one the jackknife of a mean is s / sqrt(n), exactly."""
    features = torch.randn(10, 1)
    value, error = jackknife(lambda part: part.features.mean(), Reading(features, features))
    assert value == pytest.approx(features.mean().item())
    assert error == pytest.approx((features.std() / 10**0.5).item())
    with pytest.raises(ValueError, match="9 images came"):
        jackknife(lambda part: part.features.mean(), Reading(features[:9], features[:9]))


def test_the_classifier_learns_is_kept_and_depends_on_the_data(files, tmp_path):
    task = Images(**files[0])
    before = torch.get_rng_state()
    classifier, name = cached_classifier(task, tmp_path / "kept", num_epochs=40)
    assert torch.equal(torch.get_rng_state(), before)
    images = task.test["generation"].solutions
    reading = read(classifier, images)
    assert torch.equal(reading.probabilities.argmax(-1), task.test_labels)
    again, same = cached_classifier(task, tmp_path / "kept", num_epochs=40)
    assert same == name and len(list((tmp_path / "kept").iterdir())) == 1
    assert torch.equal(read(again, images).features, reading.features)
    task.train_labels[0] = 1
    assert cached_classifier(task, tmp_path / "kept", num_epochs=1)[1] != name
    found = scores(classifier, images, reading)
    assert found["frechet"] == pytest.approx(0.0, abs=1e-4)
    assert found["class_score"] == pytest.approx(class_score(reading).item()) and found["class_score"] > 1.5
    assert found["class_entropy"] == pytest.approx(np.log(2), abs=0.1)


def test_the_classifier_sees_white_alone():
    classifier = Classifier(ROWS, COLUMNS, 2)
    y = torch.randint(1, V, (3, L))
    assert torch.equal(read(classifier, y.masked_fill(y == BLACK, UNKNOWN)).features, read(classifier, y).features)


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


# ---------------------------------------------------------------------------------------------- the experiment

SMALL = (
    "task_name=images", "method_name=gram", "device=cpu", "compile=false", "dim=8", "core.hidden=8",
    "core.mixer.hidden=8", "embed.patch=2", "embed.channels=4", "embed.groups=2", "train.num_segments=2",
    "train.batch_size=4", "train.updates=4", "updates={deterministic:4,vae:2,d3pm:4}",
    "watch.every=2", "watch.num_puzzles=4",
    "rivals.vae.peer.num_layers=1", "rivals.d3pm.peer.num_layers=1", "rivals.d3pm.peer.num_steps=2",
    "evaluate.num_images=20", "evaluate.depths=[1,3]", "evaluate.num_inpainted=5", "evaluate.inpainting_depth=2",
    "evaluate.evidence={num_images:4,num_particles:3}", "evaluate.chunk=16",
)  # fmt: skip


@pytest.fixture
def config(files, tmp_path):
    arguments, _ = files
    overrides = [f"task.{name}={value}" for name, value in arguments.items()]
    overrides += [f"run_dir={tmp_path / 'run'}", f"evaluate.classifier_cache={tmp_path / 'kept'}"]
    with (tmp_path / "test.xz").open("rb") as file:  # as many test images as are scored and kept as reference
        bits = lzma.decompress(file.read())
    with lzma.open(tmp_path / "test.xz", "wb") as file:
        file.write(bits * 4)
    write_idx(tmp_path / "test.gz", [0, 1] * 20)
    with initialize_config_dir(str(ROOT / "experiments" / "conf"), version_base=None):
        return compose("svi_images", [*SMALL, *overrides])


def test_the_experiment_from_end_to_end(config, tmp_path):
    torch.set_default_dtype(torch.float32)
    try:
        with pyro.settings.context(module_local_params=True), pyro.validation_enabled(False):
            experiment("svi_images").train_and_score(config)
    finally:
        torch.set_default_dtype(torch.float64)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    programs = results["programs"]
    assert {name: each["updates"] for name, each in programs.items()} == {
        "GRAM": 4,
        "deterministic": 4,
        "vae": 2,
        "d3pm": 4,
    }
    for name in ("GRAM", "vae"):
        found = programs[name]["evidence"]
        assert found["negative_iwae"] <= found["negative_elbo"]
    exact = programs["deterministic"]["evidence"]  # one trajectory, no latents: the bound is the likelihood
    assert exact["negative_iwae"] == pytest.approx(exact["negative_elbo"], rel=1e-5)
    assert set(programs["d3pm"]["evidence"]) == {"negative_elbo", "negative_elbo_se"}
    with (tmp_path / "run" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    named = [(row["program"], row["depth"]) for row in rows]
    depths = [(name, depth) for name in ("GRAM", "deterministic") for depth in ("1", "3")]
    assert named == [("real images", ""), *depths, ("vae", ""), ("d3pm", "")]
    collapsed = [float(row["class_score"]) for row in rows if row["program"] == "deterministic"]
    assert collapsed == pytest.approx([1.0, 1.0], abs=1e-6)  # all its images are one
    for picture in ("depth", "generation", "inpainting", "training"):
        assert (tmp_path / "run" / f"{picture}.png").stat().st_size > 5000


def test_answers_by_depth_are_those_of_one_trajectory():
    """A counting recursion: what is read at a depth is that depth, row by row, also where rows are run once."""
    by_depth = experiment("svi_images").by_depth

    class Counting:
        is_deterministic = False
        readout = property(lambda self: self)
        rows = 0

        def reason(self, x, state):
            self.rows += len(x)
            return x if state is None else state + 1

        def answer(self, state):
            return state + 1

    x = torch.tensor([[5], [7], [5], [9]])
    for deterministic, rows in ((False, 12), (True, 9)):
        model = Counting()
        model.is_deterministic = deterministic
        found = by_depth(model, x, [1, 3], 3, "test")
        assert torch.equal(found[1], x + 1) and torch.equal(found[3], x + 3) and model.rows == rows
