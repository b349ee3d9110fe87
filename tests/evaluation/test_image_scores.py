"""Scores of images: against closed forms, and the classifier that they are of."""

import numpy as np
import pytest
import torch
from image_files import COLUMNS, ROWS, L, V, write_images
from tiny import close

from gram_pyro.evaluation.image_scores import (
    Classifier,
    Features,
    cached_classifier,
    class_score,
    frechet,
    jackknife,
    kernel_distance,
    read,
    scores,
)
from gram_pyro.tasks.images import BLACK, UNKNOWN, Images


@pytest.fixture
def files(tmp_path):
    return write_images(tmp_path)


def test_class_score_at_its_ends_and_in_between():
    def of(rows):
        return class_score(Features(torch.zeros(len(rows), 1), torch.tensor(rows).double())).item()

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


def test_kernel_distance_by_hand_and_without_bias():
    """Pair by pair; and over many small samples of one law its mean is zero, where the Frechet distance's is not."""
    a, b = torch.randn(4, 2), torch.randn(3, 2)

    def mean(pairs):
        return sum(((float(f @ g)) / 2 + 1) ** 3 for f, g in pairs) / len(pairs)

    within = [[(f, g) for i, f in enumerate(part) for j, g in enumerate(part) if i != j] for part in (a, b)]
    by_hand = mean(within[0]) + mean(within[1]) - 2 * mean([(f, g) for f in a for g in b])
    assert kernel_distance(a, b).item() == pytest.approx(by_hand)
    draws = [(torch.randn(20, 3), torch.randn(30, 3)) for _ in range(400)]
    kernels, frechets = (torch.stack([of(*pair) for pair in draws]) for of in (kernel_distance, frechet))
    assert kernels.mean().abs() < 4 * kernels.std() / 20
    assert frechets.mean() > 10 * frechets.std() / 20


def test_jackknife_of_a_mean_is_its_standard_error():
    """With groups of one the jackknife of a mean is s / sqrt(n), exactly."""
    features = torch.randn(10, 1)
    value, error = jackknife(lambda part: part.features.mean(), Features(features, features))
    assert value == pytest.approx(features.mean().item())
    assert error == pytest.approx((features.std() / 10**0.5).item())
    with pytest.raises(ValueError, match="got 9 images; expected 10 or more"):
        jackknife(lambda part: part.features.mean(), Features(features[:9], features[:9]))


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
