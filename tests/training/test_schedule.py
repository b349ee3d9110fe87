"""The weight of the KL, as a number and as a schedule in words."""

import re

import pytest
import torch
from omegaconf import OmegaConf
from tiny_trainer import ragged, trainer_of

from gram_pyro.harness.check_config import check_settings, shown
from gram_pyro.training import trainer as trainer_module
from gram_pyro.training.learner import TrainSettings
from gram_pyro.training.schedule import schedule

WORDS = "linear from 0 to 1 over {} updates"


@pytest.mark.parametrize(
    "value, at",
    [
        (0.5, {0: 0.5, 9: 0.5}),
        (0, {0: 0.0, 9: 0.0}),
        (WORDS.format(4), {0: 0.0, 1: 0.25, 4: 1.0, 400: 1.0}),
        ("linear from 1.5 to 0.5 over 10 updates", {0: 1.5, 5: 1.0, 10: 0.5, 11: 0.5}),
    ],
)
def test_the_number_before_an_update(value, at):
    assert {update: schedule(value, "beta").at(update) for update in at} == pytest.approx(at)


@pytest.mark.parametrize(
    "value", [-0.1, float("nan"), float("inf"), True, None, "1", "linear", WORDS.format(0), "0 to 1"]
)
def test_what_is_no_schedule_is_refused(value):
    sentence = f"got beta={value}; write a number, 0 or more, or: linear from 0 to 1 over 1000 updates"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        TrainSettings(updates=1, num_segments=1, batch_size=1, beta=value)
    sentence = sentence.replace(f"beta={value}", f"train.beta={shown(value)}")  # as YAML writes it
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        check_settings(OmegaConf.create({"train": {"updates": 1, "num_segments": 1, "batch_size": 1, "beta": value}}))


def test_every_segment_is_trained_with_the_number_of_its_update(local_params, monkeypatch):
    seen, loss = [], trainer_module.segment_loss

    def noted(*arguments):
        seen.append(arguments[-1])
        return loss(*arguments)

    monkeypatch.setattr(trainer_module, "segment_loss", noted)
    trainer = trainer_of(num_segments=2, beta=WORDS.format(4))
    for seed in range(3):
        torch.manual_seed(seed)
        trainer.train_on(ragged(8))
    assert seen == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0] and trainer.updates == 6
