"""The results.json of a run that was never run."""

import json


def write(folder, task, method, seed, accuracy, coverage, minutes=2.0, tests=("a",), baseline=False):
    """A finished run whose metrics at width 1 and 20 are known and all differ."""

    def metrics(shift):
        return {
            "accuracy": {"1": accuracy + shift, "20": 0.01},
            "any": {"1": 0.02, "20": 0.9},
            "coverage": {"1": 0.03, "20": coverage / 2},
            "ceiling": {"1": 0.04, "20": 0.85},
            "coverage_pooled": {"1": 0.05, "20": coverage},
            "ceiling_pooled": {"1": 0.06, "20": 0.8},
            "vote": {"1": 0.07, "20": 0.71},
            "distinct": {"1": 0.08, "20": 3 + accuracy},
            "entropy": {"1": 0.0, "20": 1.2},
            "violations": {"1": 1.5, "20": 7.0},
            "num_puzzles": 255,
        }

    def program(shift):
        return {
            "config": {"task_name": task, "method_name": method, "seed": seed},
            "parameters": {"model": 1_000_000, "guide": 500_000},
            "updates": 4000,
            "seconds": 60 * minutes,
            "device": "cpu",
            "tests": {name: metrics(shift) for name in tests},
        }

    folder.mkdir(parents=True)
    programs = {"GRAM": program(0.0)} | ({"deterministic": program(0.1)} if baseline else {})
    (folder / "results.json").write_text(json.dumps({"programs": programs}))
    return folder / "results.json"
