"""Whatever a service sends is a reply: none of it ends a run."""

import asyncio
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keelmark.evaluate.client import Client, Target, base_url
from keelmark.evaluate.contract import Generate, Score

ASKS = (
    Generate(messages=({"role": "user", "content": "Hello"},), logprobs=True),
    Generate(prompt="Hello"),
    Score(context="Hello", continuations=(" you", " me")),
)
SMALL = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
ANY = st.recursive(SMALL, lambda inner: st.lists(inner, max_size=2), max_leaves=4)
NAMES = ("message", "content", "text", "logprobs", "token_logprobs", "finish_reason", "tool_calls")
CHOICE = st.dictionaries(st.sampled_from(NAMES), ANY, max_size=4)
CHOICE = st.dictionaries(st.sampled_from(NAMES), ANY | CHOICE, max_size=4)
BODY = st.fixed_dictionaries(
    {}, optional={"choices": st.lists(CHOICE | ANY, max_size=2), "usage": ANY, "error": ANY}
).map(lambda body: json.dumps(body).encode())


class Answering:
    """A way to a service that always sends the same."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.headers, self._body = status, {}, body

    async def send(self, *_given, **_named):
        return self

    async def chunks(self):
        yield self._body[:3]
        yield self._body[3:]

    async def close(self, **_named):
        """Nothing is open."""


@pytest.mark.parametrize("status", [200, 400, 500])
@settings(max_examples=150, deadline=None)
@given(body=BODY | st.binary(max_size=60))
@example(body=b'{"choices": [{"text": "a", "logprobs": {"token_logprobs": ["a"]}}]}')
@example(body=b'{"choices": [{"message": {"content": "a"}, "logprobs": {"content": [{}]}}]}')
@example(body=b'{"choices":{}}')
@example(body=b'{"error":3}')
def test_any_answer_is_a_reply(status, body):
    client = Client(Target(url="http://x/v1", model="m", tries=1), Answering(status, body))
    for ask in ASKS:
        reply = asyncio.run(client.ask(ask))
        assert reply.state in (("answered", "blocked", "failed") if status == 200 else ("failed",))
        assert bool(reply.error) == (reply.state == "failed")


def test_addresses_are_taken_with_and_without_their_end():
    for given_ in ("http://x", "http://x/", "http://x/v1", "http://x/v1/"):
        assert base_url(given_) == "http://x/v1"
