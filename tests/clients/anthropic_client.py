"""The Anthropic package for Python, at `/v1/messages`."""

import anthropic
from harness import (
    ANSWERED,
    EMAIL,
    INJECTION,
    KEY,
    MODEL,
    PERSON,
    SAID,
    URL,
    WEATHER,
    called,
    check,
    person,
    raises,
    run,
    user,
)

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=2)
TOOL = {"name": "get_weather", "description": "Weather", "input_schema": WEATHER}


def ask(said, by=client, **more):
    return by.messages.create(model=MODEL, max_tokens=100, messages=user(said), **more)


def models():
    check(MODEL in [model.id for model in client.models.list()], True)


def chat():
    answer = ask(SAID)
    check((answer.content[0].text, answer.stop_reason), (ANSWERED, "end_turn"))
    check(answer.usage.output_tokens > 0, True)


def stream():
    with client.messages.stream(model=MODEL, max_tokens=100, messages=user(SAID)) as events:
        text = "".join(events.text_stream)
        check((text, events.get_final_message().usage.output_tokens > 0), (ANSWERED, True))


def tools():
    (block,) = ask("tool", tools=[TOOL]).content
    called(block.input)


def tools_streamed():
    more = {"model": MODEL, "max_tokens": 100, "messages": user("tool"), "tools": [TOOL]}
    with client.messages.stream(**more) as events:
        (block,) = events.get_final_message().content
    called(block.input)


def schema():
    form = {"format": {"type": "json_schema", "schema": PERSON}}
    person(ask("json", output_config=form).content[0].text)


def count():
    counted = client.messages.count_tokens(model=MODEL, messages=user(SAID))
    check(counted.input_tokens > 0, True)


def errors():
    wrong = {"model": MODEL, "max_tokens": 0, "messages": user(SAID)}
    raises(anthropic.BadRequestError, lambda: client.messages.create(**wrong))
    missing = {"model": "none", "max_tokens": 5, "messages": user(SAID)}
    raises(anthropic.NotFoundError, lambda: client.messages.create(**missing))
    stranger = client.with_options(api_key="sk-km-stranger")
    raises(anthropic.AuthenticationError, lambda: ask(SAID, stranger))
    busy = client.with_options(max_retries=0)
    raises(anthropic.RateLimitError, lambda: ask("busy anthropic once", busy))


def blocked():
    raises(anthropic.BadRequestError, lambda: ask(INJECTION))


def masked():
    check(ask(f"echo {EMAIL}").content[0].text, f"echo {EMAIL}")


def retry():
    check(ask("busy anthropic retry").content[0].text, ANSWERED)


run(
    "anthropic",
    {
        "models": models,
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "tools streamed": tools_streamed,
        "JSON schema": schema,
        "count tokens": count,
        "errors": errors,
        "blocked": blocked,
        "masked": masked,
        "retry": retry,
    },
)
