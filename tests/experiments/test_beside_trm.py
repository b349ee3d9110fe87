"""A checkout with the interface of the official TRM code, in small, beside ours; and folders that are no checkout."""

import json
import sys

import pytest
from scripts import script

NETWORK = """
import torch
from types import SimpleNamespace
from torch import nn
class TinyRecursiveReasoningModel_ACTV1(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, self.embed = config, nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.head = nn.Linear(config["hidden_size"], config["vocab_size"])
    def initial_carry(self, batch):
        return SimpleNamespace(current_data=batch, steps=0)
    def forward(self, carry, batch):
        assert batch["inputs"].shape == (self.config["batch_size"], self.config["seq_len"])
        return SimpleNamespace(current_data=batch, steps=carry.steps + 1), self.head(self.embed(batch["inputs"]))
"""
LOSSES = """
from torch import nn
from torch.nn import functional as F
class ACTLossHead(nn.Module):
    def __init__(self, model, loss_type):
        super().__init__()
        assert loss_type == "stablemax_cross_entropy"
        self.model = model
    def initial_carry(self, batch):
        return self.model.initial_carry(batch)
    def forward(self, return_keys, carry, batch):
        carry, logits = self.model(carry=carry, batch=batch)
        return carry, F.cross_entropy(logits.transpose(1, 2), batch["labels"], reduction="sum"), {}, {}, False
"""
SMALL = """
    task.n=4 task.num_train=8 +task.cache=null dim=16 core.hidden=16 core.num_updates=2 core.num_layers=1
    train.num_segments=2 train.batch_size=8 train.rollout_share=0.9 compile=false repeats=2
""".split()
HEADS = "core.mixer.num_heads=2"


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "models" / "recursive_reasoning"
    folder.mkdir(parents=True)
    (folder / "trm.py").write_text(NETWORK)
    (tmp_path / "models" / "losses.py").write_text(LOSSES)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "models"]:
        del sys.modules[name]


@pytest.mark.parametrize("core", [("core=attention", HEADS), ("core=mixing", "core.mixer.hidden=8")])
def test_both_take_steps_of_the_same_batch(checkout, core):
    script("beside_trm", f"checkout={checkout}", *core, *SMALL, f"run_dir={checkout / 'run'}")
    (row,) = json.loads((checkout / "run" / "beside_trm.json").read_text())["rows"]
    assert row["their parameters"] == 5 * 16 + 16 * 5 + 5
    assert row["ratio"] == pytest.approx(row["ours, ms"] / row["theirs, ms"]) and row["ratio"] > 0


def test_a_folder_that_is_no_checkout_is_named(tmp_path):
    done = script(
        "beside_trm",
        f"checkout={tmp_path}",
        *SMALL,
        "core.mixer.num_heads=2",
        f"run_dir={tmp_path / 'run'}",
        check=False,
    )
    assert "there is no" in done.stderr and "write checkout=FOLDER with a clone of https://github.com/" in done.stderr


def test_what_their_code_needs_is_named(checkout):
    (checkout / "models" / "losses.py").write_text("import a_package_that_is_not_there")
    done = script(
        "beside_trm",
        f"checkout={checkout}",
        *SMALL,
        "core.mixer.num_heads=2",
        f"run_dir={checkout / 'run'}",
        check=False,
    )
    assert "(No module named 'a_package_that_is_not_there'); write pip install einops pydantic" in done.stderr
