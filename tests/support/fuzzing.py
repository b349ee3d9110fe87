"""Fuzzing with hypothesis: so many inputs, always the same ones, and nothing kept in the tree."""

import tempfile

from hypothesis import HealthCheck, given, settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(tempfile.mkdtemp())  # it keeps files, and none belong in the tree


def fuzz(examples, **inputs):
    """A test over so many inputs."""
    steady = settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    return lambda test: steady(given(**inputs)(test))
