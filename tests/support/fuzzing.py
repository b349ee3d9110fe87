"""Fuzzing with hypothesis: so many inputs, the same where the same modules are loaded, and nothing kept in the tree."""

import inspect
import tempfile
from collections import Counter
from functools import wraps

from hypothesis import HealthCheck, given, settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(tempfile.mkdtemp())  # it keeps files, and none belong in the tree


def fuzz(examples, **inputs):
    """A test over so many inputs."""
    steady = settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    return lambda test: steady(given(**inputs)(test))


def fuzz_reader(examples, read, refused=0.05, **inputs):
    """A test over so many inputs that returns, of each, whether it was read; False where it was refused.

    At least the shares `read` and `refused` of the inputs must be: a reader that refuses all, or takes all, fails.
    """

    def decorate(test):
        shares = Counter()

        @wraps(test)
        def one(*args, **options):
            shares[test(*args, **options)] += 1 / examples

        whole = fuzz(examples, **inputs)(one)

        def run(*args, **options):
            shares.clear()
            whole(*args, **options)
            assert set(shares) <= {True, False} and shares[True] >= read and shares[False] >= refused, dict(shares)

        run.__signature__, run.__name__, run.__doc__ = inspect.signature(whole), test.__name__, test.__doc__
        return run

    return decorate
