"""The guard's own encoder: token numbers in, what every head says of them out.

One file of 8-bit weights, one pass for all heads, on the processor. Windows are run one by one and
without padding: in 8 bits the scale of the activations comes from all that is in a batch, so in a
batch a text would get other numbers for what stands beside it, and on one core a batch of eight
takes eight times as long as one (ADR 43). Requests take turns window by window, so a long document
does not make a short question wait. ONNX Runtime works without the interpreter's lock.

Nothing is kept of a text but the numbers it got, under a keyed digest that ends with the process.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from keelmark.core.errors import UnavailableError
from keelmark.guard._weights import MEND, Head, Weights, found
from keelmark.guard._wordpiece import WordPiece

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

LONGEST = 256
"""Tokens that are read at once, with those that mark the ends."""
_KEPT = 8192  # answers that are remembered
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_TELEMETRY = "ORT_DISABLE_TELEMETRY"

WHOSE: ContextVar[str] = ContextVar("WHOSE", default="")
"""API key of the request at work: answers are remembered for each key apart, or the time that one
takes would tell a stranger whether somebody else has sent the same words."""


class Window(NamedTuple):
    """What is read at once.

    Attributes:
        text: Token numbers of the text.
        pair: Those of what it is held against; empty for none.
    """

    text: tuple[int, ...]
    pair: tuple[int, ...] = ()


class Answer(NamedTuple):
    """What the heads say of a window, as logits.

    Attributes:
        sequence: One number for each of `Encoder.sequence`.
        tokens: For each token of the text one number for each of `Encoder.tokens`.
    """

    sequence: Floats
    tokens: Floats


class Encoder:
    """The encoder, as loaded; safe to ask from many threads.

    Args:
        weights: Its files.
        most: Windows that are computed at the same time, each on one core.

    Raises:
        UnavailableError: ONNX Runtime is not installed, or cannot read the file.
    """

    def __init__(self, weights: Weights, most: int | None = None) -> None:
        self.words = WordPiece(weights.words)
        self.version = weights.calibration.version
        self.sequence = {name: at for at, name in enumerate(weights.calibration.sequence)}
        self.tokens = {name: at for at, name in enumerate(weights.calibration.tokens)}
        self.heads: dict[str, Head] = weights.heads
        self._session = _session(weights)
        self._array = importlib.import_module("numpy").array
        self._turn = threading.Semaphore(most or max(1, min(4, (os.cpu_count() or 1) - 1)))
        self._key = os.urandom(16)
        self._known: OrderedDict[bytes, Answer] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, windows: Sequence[Window]) -> list[Answer]:
        """Return what the heads say of windows, each for itself."""
        return [self._ask(window) for window in windows]

    def _ask(self, window: Window) -> Answer:
        key = self._digest(window)
        with self._lock:
            if (answer := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return answer
        with self._turn:
            answer = self._run(window)
        with self._lock:
            self._known[key] = answer
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return answer

    def _digest(self, window: Window) -> bytes:
        told = array("i", (len(window.text), *window.text, *window.pair)).tobytes()
        whose = WHOSE.get().encode() + b"\0"
        return hashlib.blake2b(whose + told, digest_size=16, key=self._key).digest()

    def _run(self, window: Window) -> Answer:
        words = self.words
        first = [words.cls, *window.text, words.sep]
        second = [*window.pair, words.sep] if window.pair else []
        kinds = [0] * len(first) + [1] * len(second)
        rows = (first + second, [1] * len(kinds), kinds)
        given = {name: self._array([row], "int64") for name, row in zip(_INPUTS, rows, strict=True)}
        sequence, tokens = self._session.run(("sequence", "tokens"), given)
        return Answer(sequence[0], tokens[0, 1 : len(window.text) + 1])


def _session(weights: Weights) -> Any:
    # From version 1.29 on ONNX Runtime sends events home unless this is said before it is loaded.
    os.environ[_TELEMETRY] = "1"
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        raise UnavailableError(
            "ONNX Runtime, which the guard's encoder needs, is not installed; run "
            "`pip install onnxruntime`.",
            retryable=False,
        ) from None
    runtime.disable_telemetry_events()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    try:
        return runtime.InferenceSession(
            str(weights.model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # boundary: the library raises classes of its own
        raise UnavailableError(
            f"The guard's encoder cannot be loaded ({type(error).__name__}); {MEND}.",
            retryable=False,
        ) from None


@cache
def _loaded(folder: str, process: int) -> Encoder:  # noqa: ARG001 (a child loads its own)
    return Encoder(Weights(found()))


_loading = threading.Lock()


def encoder() -> Encoder:
    """Return the encoder that is installed, loaded once in a process.

    Raises:
        UnavailableError: Its weights or ONNX Runtime are not installed.
        IntegrityError: Its weights are not the ones that were calibrated.
    """
    with _loading:
        return _loaded(os.environ.get("KEELMARK_WEIGHTS", ""), os.getpid())
