"""Train GRAM and baselines to generate binarised MNIST, and to complete halves with the same weights.

    python experiments/svi_images.py                         GRAM, a deterministic recursion, a VAE and D3PM
    python experiments/svi_images.py baselines.d3pm=null     one baseline less

The data are found under $GRAM_DATA. The run folder receives a checkpoint and a metrics table per program, then
scores.csv (by program and depth), results.json, and pictures: depth.png, generation.png, inpainting.png.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from tqdm import tqdm

from gram_pyro.baselines.base import Baseline, sample_baseline
from gram_pyro.baselines.vae import VAE
from gram_pyro.evaluation.evidence import bound, log_weights
from gram_pyro.evaluation.image_scores import Classifier, Features, cached_classifier, read, scores
from gram_pyro.evaluation.metrics import standard_error
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.load import build_program
from gram_pyro.harness.trial import Judge, run, trial
from gram_pyro.inference.finite import Finite
from gram_pyro.model import GRAM
from gram_pyro.plots.images import completions_figure, grid_figure, score_figure
from gram_pyro.priors.base import Prior
from gram_pyro.tasks.base import Puzzles, subset
from gram_pyro.tasks.images import UNKNOWN, Images
from gram_pyro.training.learner import Learner

SHOWN, COMPLETED, COMPLETIONS = 16, 5, 8  # images of a row; images completed, and answers to each


@torch.no_grad()
def by_depth(model: GRAM, x: Tensor, depths: Sequence[int], chunk: int, desc: str) -> dict[int, Tensor]:
    """The answers of one prior trajectory per row after each of `depths` segments. A prior whose trajectories end runs
    others for every depth, which end there.  Shapes: x [R, L] -> [R, L] per depth, on the CPU.
    """
    if model.prior.num_steps is None:
        return on_the_way(model, x, depths, chunk, desc)
    found = {}
    for depth in depths:
        with ending_after(model.prior, depth * model.num_transitions):
            found |= on_the_way(model, x, [depth], chunk, f"{desc}, {depth}")
    return found


@contextmanager
def ending_after(prior: Prior, num_steps: int) -> Iterator[None]:
    """A context in which the trajectories of a prior end after so many transitions."""
    before, prior.num_steps = prior.num_steps, num_steps
    try:
        yield
    finally:
        prior.num_steps = before


def on_the_way(model: GRAM, x: Tensor, depths: Sequence[int], chunk: int, desc: str) -> dict[int, Tensor]:
    """The answers of one trajectory per row at each of `depths`. A deterministic recursion runs one per different row.

    Shapes: x [R, L] -> [R, L] per depth, on the CPU.
    """
    rows, back = x.unique(dim=0, return_inverse=True) if model.is_deterministic else (x, torch.arange(len(x)))
    answers: dict[int, list[Tensor]] = {depth: [] for depth in depths}
    for index in tqdm(torch.arange(len(rows)).split(chunk), desc=desc, unit="chunk", dynamic_ncols=True):
        part, state = rows[index.to(rows.device)], None
        for depth in range(1, max(depths) + 1):
            with Finite(depth, index):
                state = model.reason(part, state)
            if depth in answers:
                answers[depth].append(model.readout.answer(state, part).cpu())
    return {depth: torch.cat(parts)[back.cpu()] for depth, parts in answers.items()}


def depth_of_answers(model: GRAM, config: DictConfig) -> int:
    """The segments of a whole trajectory: those that the prior takes, or else those that were trained."""
    steps = model.prior.num_steps
    return math.ceil(steps / model.num_transitions) if steps else config.train.num_segments


@torch.no_grad()
def evidence(
    learner: Learner, path: Path, task: Images, images: Puzzles, config: DictConfig, device: torch.device
) -> dict[str, float]:
    """Bounds on -log p(y), nats per image, with standard errors over images: negative ELBO and IWAE_K."""
    chosen = config.evaluate.evidence
    x, y = images.x.to(device), images.solutions.to(device)
    if isinstance(learner.averaged, GRAM):
        model, guide, _ = build_program(config, task, path, device)
        weights = log_weights(
            model, guide, x, y, chosen.num_particles, depth_of_answers(model, config), config.evaluate.chunk
        )
    elif isinstance(learner.averaged, VAE):
        weights = torch.cat([learner.averaged.log_weights(a, b, chosen.num_particles) for a, b in batches(x, y)], 1)
    else:  # a baseline whose bound has no weights: its loss, at one draw of the noise per repetition
        losses = torch.stack(
            [learner.averaged.loss(a, b) for _ in range(chosen.num_particles) for a, b in batches(x, y)]
        )
        per_image = losses.view(chosen.num_particles, -1).mean(0)
        return {"negative_elbo": per_image.mean().item(), "negative_elbo_se": standard_error(per_image.double())}
    elbo, iwae = bound(weights, 1).double(), bound(weights, chosen.num_particles).double()
    return {
        "negative_elbo": -elbo.mean().item(),
        "negative_elbo_se": standard_error(elbo),
        "negative_iwae": -iwae.mean().item(),
        "negative_iwae_se": standard_error(iwae),
    }


def random_halves(num: int) -> tuple[Tensor, Tensor]:
    """A random half of the indices below `num`, and the others. The test images of MNIST come from two sources, one
    after the other, so its first half is not like its second."""
    order = torch.randperm(num, generator=torch.Generator().manual_seed(0))
    return order[: num // 2], order[num // 2 :]


def batches(x: Tensor, y: Tensor, size: int = 20) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(size), y.split(size), strict=True))


def complete(model: GRAM, depth: int, chunk: int, x: Tensor) -> Tensor:
    """One answer per row, [R, L]."""
    return by_depth(model, x, [depth], chunk, "completions")[depth]


def answer(baseline: Baseline, chunk: int, x: Tensor) -> Tensor:
    """One answer of a baseline per row, [R, L]."""
    return sample_baseline(baseline, x, 1, chunk=chunk).answers[0].cpu()


def completion_scores(task: Images, classifier: Classifier, images: Puzzles, labels: Tensor, answers: Tensor) -> dict:
    """Scores of answers [K, B, L]: the shares of known pixels kept, of unknown pixels right, of images classified as
    their label, and of unknown pixels that differ between two answers to an image."""
    known, pairs = images.x != UNKNOWN, answers[0] != answers[1]
    right = answers == images.solutions
    found = torch.stack([read(classifier, part).probabilities.argmax(-1) for part in answers])
    return {
        "known_kept": right[:, known].double().mean().item(),
        "unknown_right": right[:, ~known].double().mean().item(),
        "label_agrees": (found == labels).double().mean().item(),
        "answers_differ": pairs[~known].double().mean().item(),
    }


class Pictures(Judge):
    """Images from the blank one at every depth, completions of halves, and bounds on log p(y), for every program."""

    def begin(self) -> None:
        by = self.config.evaluate
        self.classifier, self.digest = cached_classifier(self.task, by.classifier_cache)
        blank, halves = self.task.test["generation"], self.task.test["inpainting"]
        shown = read(self.classifier, blank.solutions)
        self.accuracy = (shown.probabilities.argmax(-1) == self.task.test_labels).double().mean().item()
        if by.num_inpainted > len(halves.x):
            raise ValueError(
                f"got evaluate.num_inpainted={by.num_inpainted}; expected at most the {len(halves.x)} test images"
            )
        reference, others = random_halves(len(blank.x))
        self.real = Features(*(part[reference] for part in shown))
        self.pictures = {"real": blank.solutions[others[: by.num_images]]}  # as many as are drawn
        real = scores(self.classifier, self.pictures["real"], self.real)
        self.rows: list[dict] = [{"program": "real images", "depth": None} | real]
        self.x = blank.x[: by.num_images].to(self.device)
        self.held = subset(blank, by.evidence.num_images)
        self.asked = halves.select(torch.arange(by.num_inpainted))
        self.programs: dict[str, dict] = {}
        self.completed: dict[str, Tensor] = {}

    def judge(self, name: str, learner: Learner, description: dict) -> None:
        by, model, asked = self.config.evaluate, learner.averaged, self.asked
        model.eval()
        torch.manual_seed(self.config.seed)
        if isinstance(model, Baseline):
            draw = partial(answer, model, by.chunk)
            drawn = {None: draw(self.x)}
        else:
            drawn = by_depth(model, self.x, list(by.depths), by.chunk, name)
            draw = partial(complete, model, by.inpainting_depth, by.chunk)
        filled = draw(asked.x.repeat(COMPLETIONS, 1).to(self.device)).view(COMPLETIONS, *asked.x.shape)
        config, path = OmegaConf.create(description["config"]), self.folder / f"{name}.safetensors"
        bounds = evidence(learner, path, self.task, self.held, config, self.device)
        self.completed[name] = filled[:, :COMPLETED]
        for depth, images in drawn.items():
            self.pictures[name if depth is None else f"{name}, {depth}"] = images
            self.rows.append({"program": name, "depth": depth} | scores(self.classifier, images, self.real))
        labels = self.task.test_labels[: by.num_inpainted]
        inpainting = completion_scores(self.task, self.classifier, asked, labels, filled)
        self.programs[name] = description | {"evidence": bounds, "inpainting": inpainting}

    def tables(self) -> dict[str, list]:
        return {"scores": self.rows}

    def summary(self) -> dict[str, object]:
        classifier = {"digest": self.digest, "accuracy": self.accuracy}
        return {"classifier": classifier, "scores": self.rows, "programs": self.programs}

    def show(self) -> None:
        print(f"\nclassifier {self.digest}: {self.accuracy:.4f} of the test images right\n")
        found = [{"program": name} | it["evidence"] | it["inpainting"] for name, it in self.programs.items()]
        print(f"{rows_markdown(self.rows)}\n\n{rows_markdown(found)}")
        score_figure(self.rows).savefig(self.folder / "depth.png", dpi=150)
        grid_figure({title: images[:SHOWN] for title, images in self.pictures.items()}, self.task).savefig(
            self.folder / "generation.png", dpi=150, bbox_inches="tight"
        )
        few = self.asked.select(torch.arange(min(COMPLETED, len(self.asked.x))))
        completions_figure(few, self.completed["GRAM"], self.task).savefig(self.folder / "inpainting.png", dpi=150)


@trial
def main(config: DictConfig) -> None:
    run(config, Pictures)


if __name__ == "__main__":
    main()
