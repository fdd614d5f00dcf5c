"""The OpenAI package for Python."""

import openai
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
    WEATHER_TOOL,
    called,
    check,
    person,
    raises,
    run,
    user,
)

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=2)
ask = client.chat.completions.create
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "person", "schema": PERSON, "strict": True},
}


def models():
    check(MODEL in [model.id for model in client.models.list()], True)


def chat():
    answer = ask(model=MODEL, messages=user(SAID))
    check(answer.choices[0].message.content, ANSWERED)
    check(answer.usage.total_tokens > 0, True)


def stream():
    options = {"include_usage": True}
    chunks = list(ask(model=MODEL, messages=user(SAID), stream=True, stream_options=options))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    check((text, chunks[-1].usage.total_tokens > 0), (ANSWERED, True))


def tools():
    answer = ask(model=MODEL, messages=user("tool"), tools=[WEATHER_TOOL])
    (call,) = answer.choices[0].message.tool_calls
    called(call.function.arguments)


def tools_streamed():
    chunks = ask(model=MODEL, messages=user("tool"), tools=[WEATHER_TOOL], stream=True)
    calls = [t for c in chunks if c.choices for t in c.choices[0].delta.tool_calls or []]
    called("".join(call.function.arguments or "" for call in calls))


def schema():
    answer = ask(model=MODEL, messages=user("json"), response_format=SCHEMA)
    person(answer.choices[0].message.content)


def embeddings():
    check(len(client.embeddings.create(model=MODEL, input=["a", "b"]).data), 2)


def logprobs():
    answer = ask(model=MODEL, messages=user("logprobs"), logprobs=True)
    check(answer.choices[0].logprobs.content[0].logprob, -0.5)


def errors():
    raises(openai.NotFoundError, lambda: ask(model="gpt-none", messages=user(SAID)))
    raises(openai.BadRequestError, lambda: ask(model=MODEL, messages=[]))
    stranger = client.with_options(api_key="sk-km-stranger")
    raises(openai.AuthenticationError, stranger.models.list)
    busy = client.with_options(max_retries=0).chat.completions.create
    raises(openai.RateLimitError, lambda: busy(model=MODEL, messages=user("busy openai once")))


def blocked():
    call = lambda: ask(model=MODEL, messages=user(INJECTION))  # noqa: E731
    check(raises(openai.BadRequestError, call).code, "content_filter")


def masked():
    answer = ask(model=MODEL, messages=user(f"echo {EMAIL}"))
    check(answer.choices[0].message.content, f"echo {EMAIL}")


def retry():
    answer = ask(model=MODEL, messages=user("busy openai retry"))
    check(answer.choices[0].message.content, ANSWERED)


def responses():
    answer = client.responses.create(model=MODEL, input=SAID)
    check(answer.output_text, ANSWERED)
    tool = {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}
    made = client.responses.create(model=MODEL, input="tool", tools=[tool]).output[0]
    called(made.arguments)


def responses_streamed():
    with client.responses.stream(model=MODEL, input=SAID) as events:
        text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
        check((text, events.get_final_response().status), (ANSWERED, "completed"))


run(
    "openai",
    {
        "models": models,
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "tools streamed": tools_streamed,
        "JSON schema": schema,
        "embeddings": embeddings,
        "logprobs": logprobs,
        "errors": errors,
        "blocked": blocked,
        "masked": masked,
        "retry": retry,
        "responses": responses,
        "responses streamed": responses_streamed,
    },
)
