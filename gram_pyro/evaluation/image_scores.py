"""Scores of generated images by a small classifier of the data: clear classes, all classes, similar features.

    class score       exp E_y KL(p(c | y) || E_y p(c | y))                     from 1 to the number of classes
    Frechet distance  |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2))                 of its features, mean m and covariance S
    kernel distance   E k(f, f~) + E k(f', f'~) - 2 E k(f, f'),   k(f, f') = (f . f' / F + 1)^3

They are defined as the Inception score, FID and KID, but with another network and on binary images. Compare them only
with each other, and with those of real images. The Frechet distance of few images is too large, and more so the more
the images differ (of 2000 real ones of MNIST: 2.5). The kernel distance is unbiased: zero for real ones, up to its
error.
Source: ours, after Salimans et al. 2016, Heusel et al. 2017 and Binkowski et al. 2018.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from gram_pyro.tasks.cache import cached_tensors
from gram_pyro.tasks.images import BLACK, Images

NUM_FEATURES, BATCH = 64, 128
FORMAT = 1  # of the cache; raise it when the network or its training changes


class Classifier(nn.Module):
    """Two convolutions, each with a maximum over 2 x 2 pixels, then 64 features.

    Args: rows, columns of the image; num_classes.  Shapes: y [N, L] int -> features [N, 64], logits [N, C].
    """

    def __init__(self, rows: int, columns: int, num_classes: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (rows // 4) * (columns // 4), NUM_FEATURES),
            nn.ReLU(),
        )
        self.logits = nn.Linear(NUM_FEATURES, num_classes)

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        image = (y > BLACK).to(self.logits.weight.dtype).view(-1, 1, self.rows, self.columns)
        features = self.body(image)
        return features, self.logits(features)


class Features(NamedTuple):
    """The outputs of a classifier for N images.  Shapes: features [N, F], probabilities [N, C], float64."""

    features: Tensor
    probabilities: Tensor

    def select(self, index: Tensor) -> "Features":
        return Features(self.features[index], self.probabilities[index])


@torch.no_grad()
def read(classifier: Classifier, y: Tensor) -> Features:
    """The outputs of the classifier for images y [N, L]."""
    parts = [classifier(part) for part in y.split(1000)]
    features, logits = (torch.cat(part).double() for part in zip(*parts, strict=True))
    return Features(features, logits.softmax(-1))


def fit_classifier(task: Images, num_epochs: int = 2, seed: int = 0) -> Classifier:
    """A classifier trained on the training images. The global random state does not change."""
    images, labels = task.train.solutions, task.train_labels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = Classifier(task.rows, task.columns, int(labels.max()) + 1)
        optimiser = torch.optim.Adam(classifier.parameters(), lr=1e-3)
        for _ in range(num_epochs):
            order = torch.randperm(len(images))
            for index in tqdm(order.split(BATCH), desc="classifier", unit="batch", dynamic_ncols=True):
                optimiser.zero_grad()
                F.cross_entropy(classifier(images[index])[1], labels[index]).backward()
                optimiser.step()
    return classifier.eval()


def digest(task: Images, num_epochs: int, seed: int) -> str:
    """A hash of everything the classifier depends on."""
    data = hashlib.sha256(f"{FORMAT} {task.rows} {task.columns} {num_epochs} {seed}".encode())
    for part in (task.train.solutions, task.train_labels):
        data.update(part.byte().numpy().tobytes())
    return data.hexdigest()[:16]


def cached_classifier(
    task: Images, folder: str | Path | None, num_epochs: int = 2, seed: int = 0
) -> tuple[Classifier, str]:
    """The classifier of `task` and its digest. It is trained once and kept in `folder`, see `cached_tensors`."""
    name = digest(task, num_epochs, seed)
    tensors = cached_tensors(folder, f"classifier-{name}", lambda: fit_classifier(task, num_epochs, seed).state_dict())
    with torch.random.fork_rng(devices=[]):
        classifier = Classifier(task.rows, task.columns, len(tensors["logits.bias"]))
    classifier.load_state_dict(tensors)
    return classifier.eval(), name


def class_score(images: Features) -> Tensor:
    """exp E KL(p(c | y) || E p(c | y)): 1 if all images have the same law of classes."""
    p = images.probabilities
    mean = p.mean(0)
    return (torch.special.entr(mean).sum() - torch.special.entr(p).sum(-1).mean()).exp()


def frechet(one: Tensor, other: Tensor) -> Tensor:
    """The squared Frechet distance, as in FID, of two Gaussians with the moments of features [N, F] and [M, F]."""
    gap = (one.mean(0) - other.mean(0)).square().sum()
    first, second = one.T.cov(), other.T.cov()
    root = matrix_root(first)
    cross = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()  # tr (S S')^(1/2)
    return gap + first.trace() + second.trace() - 2 * cross


def kernel_distance(one: Tensor, other: Tensor) -> Tensor:
    """The unbiased estimate of the squared distance of two laws, as in KID, from features [N, F] and [M, F]."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[-1] + 1) ** 3

    def apart(features: Tensor) -> Tensor:
        """The mean of the kernel over pairs of different images."""
        values, n = kernel(features, features), len(features)
        return (values.sum() - values.trace()) / (n * (n - 1))

    return apart(one) + apart(other) - 2 * kernel(one, other).mean()


def matrix_root(matrix: Tensor) -> Tensor:
    """The square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


def jackknife(statistic: Callable[[Features], Tensor], images: Features, num_groups: int = 10) -> tuple[float, float]:
    """A statistic of N images and its jackknife standard error, from its values without each of the groups.

    Group g has the images i with i mod num_groups = g.  Raises: ValueError if a group has no image.
    """
    place = torch.arange(len(images.features)) % num_groups
    if len(place) < num_groups:
        raise ValueError(f"got {len(place)} images; expected {num_groups} or more, one per group of the jackknife")
    without = torch.stack([statistic(images.select(place != group)) for group in range(num_groups)])
    error = ((num_groups - 1) * without.var(unbiased=False)).sqrt()
    return statistic(images).item(), error.item()


def scores(classifier: Classifier, y: Tensor, real: Features) -> dict[str, float]:
    """The scores of images y [N, L] with standard errors over these images, and the entropy of their classes (nats;
    log C at most). The error of the reference `real` is not included."""
    images = read(classifier, y)
    score, score_se = jackknife(class_score, images)
    distance, distance_se = jackknife(lambda part: frechet(part.features, real.features), images)
    kernel, kernel_se = jackknife(lambda part: kernel_distance(part.features, real.features), images)
    return {
        "class_score": score,
        "class_score_se": score_se,
        "frechet": distance,
        "frechet_se": distance_se,
        "kernel": kernel,
        "kernel_se": kernel_se,
        "class_entropy": torch.special.entr(images.probabilities.mean(0)).sum().item(),
        "confidence": images.probabilities.amax(-1).mean().item(),
    }
