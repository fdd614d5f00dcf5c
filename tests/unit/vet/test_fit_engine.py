"""What the fit survey says of the bundled model is what the engine says that it sets aside."""

import re
import subprocess
import sys

import pytest

from keelmark.serve.models import LocalModel
from keelmark.vet import look
from keelmark.vet.fit.cache import Demand, cache
from keelmark.vet.fit.parts import parts

pytestmark = pytest.mark.engine

# As the llama engine starts it, but with the log that names its buffers.
_START = """
import os, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel = 5000, 4
params.kv_unified, params.fit_params, params.verbosity = True, False, 4
params.hostnames, params.port = ["127.0.0.1"], 0
server = xllamacpp.Server(params)
os._exit(0)
"""


def test_buffers_of_the_bundled_model(bundled_model: LocalModel) -> None:
    [part] = parts(look(bundled_model.path).facts)
    assert part.shape is not None
    done = subprocess.run(
        [sys.executable, "-c", _START, str(bundled_model.path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said = done.stdout + done.stderr
    weights = re.search(r"model buffer size = +([\d.]+) MiB", said)
    kept = re.search(r"KV buffer size = +([\d.]+) MiB", said)
    assert weights, said
    assert kept, said
    ours = cache(part.shape, Demand(context=5000))
    assert f"{part.weights.bytes / 2**20:.2f}" == weights[1]
    assert f"{ours.tokens / 2**20:.2f}" == kept[1]
