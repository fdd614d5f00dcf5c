"""What the mock engine says: each answer carries a word of its request, so none can be mixed up."""

import json

WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "rain")
CHUNKS = 40
SECONDS = 0.003  # between two chunks
MARK = b"reference "
_LETTERS = "bcdfghjklm"
NOTE = (
    "Summarise the following note for a colleague in three sentences. "
    "The harbour office opened a new ferry line in spring; the first boats were late because "
    "of fog, yet most passengers were pleased with the prices and the view of the old town. "
    "A second line is planned for next year, should the council agree to pay for the pier. "
) * 2


def word(number):
    """A word for a number: letters only, so that no detector takes it for anything."""
    return "".join(_LETTERS[int(digit)] for digit in f"{number % 10**6:06d}")


def prompt_tokens(mark):
    return 100 + _LETTERS.index(mark[-1])


def usage(mark):
    read = prompt_tokens(mark)
    return {"prompt_tokens": read, "completion_tokens": CHUNKS, "total_tokens": read + CHUNKS}


def pieces(mark):
    """The text of an answer, as it is streamed."""
    said = [f"{WORDS[number % len(WORDS)]} " for number in range(CHUNKS)]
    said[CHUNKS // 2] = f"{mark} "
    return said


def whole(mark):
    return json.dumps(
        {
            "id": "chatcmpl-0123456789",
            "object": "chat.completion",
            "created": 1750000000,
            "model": "mock",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "".join(pieces(mark))},
                    "finish_reason": "stop",
                }
            ],
            "usage": usage(mark),
        }
    ).encode()


def _event(choices, counts=None):
    body = {
        "id": "chatcmpl-0123456789",
        "object": "chat.completion.chunk",
        "created": 1750000000,
        "model": "mock",
        "choices": choices,
    }
    if counts is not None:
        body["usage"] = counts
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def events(mark):
    """One event for each piece, then one with the reason to stop, the counts and the end."""
    deltas = ({"content": piece} for piece in pieces(mark))
    out = [_event([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    stop = _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    return [*out, stop + _event([], usage(mark)) + b"data: [DONE]\n\n"]


def request(number, *, model, stream):
    """A request's body."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": f"{NOTE}({MARK.decode()}{word(number)})"}],
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body).encode()
