"""The clients of OpenAI and Anthropic, pointed at a gateway, and what they are asked in tests."""

import anthropic
import openai

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
REPLY = {"role": "assistant", "content": ""}


def openai_client(s, key=None):
    return openai.AsyncOpenAI(base_url=s.url + "/v1", api_key=key or s.secret, max_retries=0)


def anthropic_client(s, key=None):
    return anthropic.AsyncAnthropic(base_url=s.url, api_key=key or s.secret, max_retries=0)


def called(number, name="", arguments="", key=None):
    """A piece of a call, as engines stream it."""
    function = {"arguments": arguments} | ({"name": name} if name else {})
    head = {"id": key, "type": "function"} if key else {}
    return {"tool_calls": [{"index": number, **head, "function": function}]}


def message(said="go", /, **more):
    return {
        "model": "fake",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": said}],
    } | more


def asked(said="go", /, **more):
    return {"model": "fake", "input": said} | more
