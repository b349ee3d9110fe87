"""Sweeps through Hydra's own launchers: every job a run of its own; what fails says why where the sweep began."""

import json
import subprocess
import sys

from scripts import ROOT, script


def small(tmp_path):
    run_dir = f"run_dir={tmp_path}/${{seed}}_${{train.rollout_share}}"
    sweep_dir = f"hydra.sweep.dir={tmp_path / 'sweep'}"
    few = ("train.updates=2", "watch.every=2", "baselines=null", "evaluate.widths=[1]", "task.num_train=10")
    return "-m", "experiment=smoke", *few, run_dir, sweep_dir


def test_a_sweep_through_submitit_in_a_process_of_its_own(tmp_path):
    overrides = (*small(tmp_path), "hydra/launcher=submitit_local", "seed=1")
    command = [sys.executable, "experiments/svi_sudoku.py", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "1_0.55" / "results.json").read_text())["programs"]["GRAM"]
    assert run["config"]["seed"] == 1 and list((tmp_path / "sweep" / ".submitit").glob("*/*_result.pkl"))


def test_a_sweep_through_joblib_one_job_of_which_fails(tmp_path):
    jobs = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "train.rollout_share=0.5,2")
    done = script("svi_sudoku", *small(tmp_path), *jobs, check=False)
    assert done.returncode != 0
    assert "error: got rollout_share=2; expected 0 or more and below 1: the guide needs some" in done.stderr
    assert json.loads((tmp_path / "0_0.5" / "results.json").read_text())["programs"]["GRAM"]["updates"] == 2
    assert not (tmp_path / "0_2" / "results.json").exists()
