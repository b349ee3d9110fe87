"""Train GRAM and its rivals to generate binarised MNIST, and to complete halves by the same weights; score the images.

    python experiments/svi_images.py                         GRAM, a deterministic recursion, a VAE and D3PM
    python experiments/svi_images.py rivals.d3pm=null        one rival less

The data are found under $GRAM_DATA. The run folder receives a checkpoint and a metrics table per program, then
scores.csv (by program and depth), results.json, and pictures: depth.png, generation.png, inpainting.png.
"""

from collections.abc import Sequence
from functools import partial

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from tqdm import tqdm

from gram_pyro.baselines.base import Peer, sample_peer
from gram_pyro.baselines.vae import VAE
from gram_pyro.evaluation.evidence import bound, log_weights
from gram_pyro.evaluation.image_scores import Classifier, Reading, cached_classifier, read, scores
from gram_pyro.evaluation.metrics import standard_error
from gram_pyro.harness.build import choose_device
from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.load import build_program
from gram_pyro.harness.results import write_json, write_rows
from gram_pyro.harness.resume import claim_folder
from gram_pyro.harness.run_folder import RESULTS, is_finished
from gram_pyro.harness.trial import rival_config, run_trial, train
from gram_pyro.inference.finite import Finite
from gram_pyro.model import GRAM
from gram_pyro.plots.images import completions_figure, grid_figure, score_figure
from gram_pyro.plots.trial import training_figure
from gram_pyro.tasks.base import Puzzles, subset
from gram_pyro.tasks.images import UNKNOWN, Images
from gram_pyro.training.learner import Learner

SHOWN, COMPLETED, COMPLETIONS = 16, 5, 8  # images of a row; images completed, and answers to each


@torch.no_grad()
def by_depth(model: GRAM, x: Tensor, depths: Sequence[int], chunk: int, desc: str) -> dict[int, Tensor]:
    """The answers of one prior trajectory per row, read after each of `depths` segments; of a deterministic recursion
    one trajectory per different row.  Shapes: x [R, L] -> [R, L] per depth, on the CPU.
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


@torch.no_grad()
def evidence(learner: Learner, path: str, task: Images, images: Puzzles, config: DictConfig) -> dict[str, float]:
    """Bounds on -log p(y), nats per image, with standard errors over images: negative ELBO and IWAE_K."""
    device, chosen = torch.device(config.device), config.evaluate.evidence
    x, y = images.x.to(device), images.solutions.to(device)
    if isinstance(learner.averaged, GRAM):
        model, guide, _ = build_program(config, task, path, device)
        weights = log_weights(
            model, guide, x, y, chosen.num_particles, config.train.num_segments, config.evaluate.chunk
        )
    elif isinstance(learner.averaged, VAE):
        weights = torch.cat([learner.averaged.log_weights(a, b, chosen.num_particles) for a, b in batches(x, y)], 1)
    else:  # a peer whose bound has no weights: its loss, at one draw of the noise per repetition
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


def batches(x: Tensor, y: Tensor, size: int = 20) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(size), y.split(size), strict=True))


def complete(model: GRAM, depth: int, chunk: int, x: Tensor) -> Tensor:
    """One answer per row, [R, L]."""
    return by_depth(model, x, [depth], chunk, "completions")[depth]


def answer(peer: Peer, chunk: int, x: Tensor) -> Tensor:
    """The same of a peer."""
    return sample_peer(peer, x, 1, chunk=chunk).answers[0].cpu()


def completion_scores(task: Images, classifier: Classifier, images: Puzzles, labels: Tensor, answers: Tensor) -> dict:
    """Of answers [K, B, L]: the share of known pixels kept, of unknown pixels right, of images that are read as their
    label, and of unknown pixels that differ between two answers to one image."""
    known, pairs = images.x != UNKNOWN, answers[0] != answers[1]
    right = answers == images.solutions
    found = torch.stack([read(classifier, part).probabilities.argmax(-1) for part in answers])
    return {
        "known_kept": right[:, known].double().mean().item(),
        "unknown_right": right[:, ~known].double().mean().item(),
        "label_agrees": (found == labels).double().mean().item(),
        "answers_differ": pairs[~known].double().mean().item(),
    }


def train_and_score(config: DictConfig) -> None:
    device, folder, by = choose_device(config.device), claim_folder(config), config.evaluate
    if is_finished(folder):
        return
    config = config.copy()
    OmegaConf.set_struct(config, False)  # peer: null left no key, and a rival may be one
    config.device = str(device)
    task = instantiate(config.task)
    classifier, name = cached_classifier(task, by.classifier_cache)
    blank, halves = task.test["generation"], task.test["inpainting"]
    shown = read(classifier, blank.solutions)
    accuracy = (shown.probabilities.argmax(-1) == task.test_labels).double().mean().item()
    if by.num_inpainted > len(halves.x):
        raise ValueError(
            f"evaluate.num_inpainted={by.num_inpainted} came; expected at most the {len(halves.x)} test images"
        )
    half = len(blank.x) // 2  # one half of the test images is the reference, of the other as many are scored as drawn
    real = Reading(*(part[:half] for part in shown))
    pictures = {"real": blank.solutions[half : half + by.num_images]}
    rows = [{"program": "real images", "depth": None} | scores(classifier, pictures["real"], real)]
    x = blank.x[: by.num_images].to(device)
    held = subset(blank, by.evidence.num_images)
    asked = halves.select(torch.arange(by.num_inpainted))
    summary, completed = {}, {}
    programs = {"GRAM": config} | {n: rival_config(config, r) for n, r in config.rivals.items() if r}
    for program, its in programs.items():
        learner, description = train(program, its, task, folder, device)
        model, path = learner.averaged, folder / f"{program}.safetensors"
        model.eval()
        torch.manual_seed(config.seed)
        with learner.settings.autocast(device):
            if isinstance(model, Peer):
                draw = partial(answer, model, by.chunk)
                drawn = {None: draw(x)}
            else:
                drawn = by_depth(model, x, list(by.depths), by.chunk, program)
                draw = partial(complete, model, by.inpainting_depth, by.chunk)
            filled = draw(asked.x.repeat(COMPLETIONS, 1).to(device)).view(COMPLETIONS, *asked.x.shape)
            bounds = evidence(learner, path, task, held, its)
        completed[program] = filled[:, :COMPLETED]
        for depth, images in drawn.items():
            pictures[program if depth is None else f"{program}, {depth}"] = images
            rows.append({"program": program, "depth": depth} | scores(classifier, images, real))
        inpainting = completion_scores(task, classifier, asked, task.test_labels[: by.num_inpainted], filled)
        summary[program] = description | {"evidence": bounds, "inpainting": inpainting}
    write_rows(folder / "scores.csv", rows)
    head = {"classifier": {"digest": name, "accuracy": accuracy}, "scores": rows}
    write_json(folder / RESULTS, head | {"programs": summary})
    print(f"\nclassifier {name}: {accuracy:.4f} of the test images right")
    for program, found in summary.items():
        print(f"\n{program}: {found['evidence']}\n{found['inpainting']}")
    for row in rows:
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    score_figure(rows).savefig(folder / "depth.png", dpi=150)
    grid_figure({title: images[:SHOWN] for title, images in pictures.items()}, task).savefig(
        folder / "generation.png", dpi=150, bbox_inches="tight"
    )
    few = asked.select(torch.arange(min(COMPLETED, by.num_inpainted)))
    completions_figure(few, completed["GRAM"], task).savefig(folder / "inpainting.png", dpi=150)
    training_figure({program: folder / f"{program}.csv" for program in programs}, folder / "training.png")
    print(f"\ntables, figures and checkpoints are in {folder}")


@hydra.main(version_base=None, config_path="conf", config_name="svi_images")
def main(config: DictConfig) -> None:
    run_trial(config, "svi_images", train_and_score)


if __name__ == "__main__":
    plain_arguments()
    main()
