"""What every experiment does at its edge: an error that a user can mend is one sentence, not a traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import InstantiationException


@contextmanager
def plain_errors() -> Iterator[None]:
    """Exit with one sentence on a bad value, a file that cannot be read or written, or a number that is not finite.

    HYDRA_FULL_ERROR=1 shows the traceback instead.
    """
    try:
        yield
    except (ValueError, OSError, FloatingPointError, InstantiationException) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        sys.exit(f"error: {cause}")
