"""bf16 where the hardware multiplies it, and nowhere else unless it is asked for."""

from pathlib import Path

import pytest
import torch

from gram_pyro.training.learner import TrainSettings
from gram_pyro.training.precision import autocast, choose_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("amx, avx, wanted", [(True, False, "bf16"), (False, True, "bf16"), (False, False, "fp32")])
def test_auto_is_what_the_cpu_multiplies(amx, avx, wanted, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    assert choose_precision("auto", CPU) == wanted
    assert [choose_precision(name, CPU) for name in ("bf16", "fp32")] == ["bf16", "fp32"]
    x = torch.ones(2, 2, dtype=torch.float32)
    with TrainSettings(updates=1, num_segments=1, batch_size=2).autocast(CPU):
        assert (x @ x).dtype == {"bf16": torch.bfloat16, "fp32": torch.float32}[wanted]
    with autocast("bf16", CPU):
        assert (x @ x).dtype == torch.bfloat16


@pytest.mark.parametrize("native", [True, False])
def test_emulation_on_an_old_gpu_does_not_count(native, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert choose_precision("auto", GPU) == ("bf16" if native else "fp32")


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="only Linux says what the processor has")
def test_this_torch_knows_what_the_processor_has():
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    assert choose_precision("auto", CPU) == ("bf16" if {"amx_tile", "avx512_bf16"} & flags else "fp32")


def test_other_names_are_refused():
    with pytest.raises(ValueError, match="got precision='half'; expected a known one; write auto, bf16, fp32"):
        choose_precision("half", CPU)
