"""A model without weights: what it thinks of the next token is a hash of all tokens before it.

Its tokens are bytes and a few marks, so characters beyond ASCII are spread over several tokens.
"""

import copy
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from keelmark.serve.engine import Endpoint
from keelmark.serve.score_child import Desk, serve
from keelmark.serve.scorer import Rows

BEGIN, END = 256, 257


def logits(tokens: Sequence[int], size: int = 258) -> Rows:
    seed = zlib.crc32(repr(list(tokens)).encode())
    return np.random.default_rng(seed).normal(0, 2, size).astype(np.float32)


class TinyModel:
    """Implements `scored.Vocabulary`.

    Attributes:
        seen: How many tokens it has read so far.
        held: The tokens it has in memory.
        threads: How many it says it computes with.
        stubborn: Whether it can forget only everything, as models with a running state.
        breaks_at: How many tokens it reads before it fails once; -1: it does not.
    """

    def __init__(self, context=64, *, begins=False, stubborn=False, step=3, size=258):
        self.context, self.begins, self.size, self.bos = context, begins, size, BEGIN
        self.stubborn, self.step, self.breaks_at = stubborn, step, -1
        self.seen = 0
        self.threads = 1
        self.held: list[int] = []

    def rewind(self, length: int) -> bool:
        assert length <= len(self.held)
        if self.stubborn and length < len(self.held):
            self.held = []
            return not length
        del self.held[length:]
        return True

    def read(self, tokens: Sequence[int], start: int, silent: int = 0) -> Iterator[Rows]:
        assert start == len(self.held), "it reads where it stands"
        assert len(self.held) + len(tokens) <= self.context
        for begin in range(0, len(tokens), self.step):
            rows = []
            for token in tokens[begin : begin + self.step]:
                self.held.append(token)
                self.seen += 1
                if self.seen == self.breaks_at:
                    raise RuntimeError("scripted failure")
                rows.append(logits(self.held, self.size))
            yield np.stack(rows)[max(silent - begin, 0) :]

    def beside(self, context):
        other = copy.copy(self)
        other.held, other.context, other.seen = [], context, 0
        return other

    def ends(self, token: int) -> bool:
        return token == END

    def tokens(self, text: str, *, special: bool) -> list[int]:
        return [BEGIN] * (special and self.begins) + list(text.encode())

    def piece(self, token: int) -> bytes:
        return {BEGIN: b"<s>", END: b"</s>"}.get(token) or bytes([token])

    def about(self):
        return {"bos_token": "<s>", "eos_token": "</s>", "chat_template": None}


def logprob(before: Sequence[int], token: int, size: int = 258) -> float:
    """The log-probability of a token, worked out by itself in the plainest way."""
    row = logits(before, size).astype(np.float64)
    return float(row[token] - np.logaddexp.reduce(row))


@contextmanager
def scorer_of(model):
    """Serve scores of a model; yields what an engine has as its `scorer`."""
    server = serve(Desk(model, "scorer"))

    async def scorer():
        return Endpoint(
            f"http://127.0.0.1:{server.server_port}/v1", {"authorization": "Bearer scorer"}
        )

    def end():
        server.shutdown()
        server.server_close()

    try:
        yield scorer
    finally:
        threading.Thread(target=end, daemon=True).start()  # up to half a second; nobody waits
