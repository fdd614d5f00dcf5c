"""LiteLLM, as a client."""

import litellm
from harness import (
    ANSWERED,
    EMAIL,
    INJECTION,
    KEY,
    MODEL,
    PERSON,
    SAID,
    URL,
    WEATHER_TOOL,
    called,
    check,
    person,
    raises,
    run,
    user,
)

litellm.suppress_debug_info = True
OPENAI = {"model": f"openai/{MODEL}", "api_base": f"{URL}/v1", "api_key": KEY}
ANTHROPIC = {"model": f"anthropic/{MODEL}", "api_base": URL, "api_key": KEY, "max_tokens": 100}


def ask(said, **more):
    return litellm.completion(**{**OPENAI, "messages": user(said), "max_retries": 0, **more})


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks)


def chat():
    check(ask(SAID).choices[0].message.content, ANSWERED)


def stream():
    check(text_of(ask(SAID, stream=True)), ANSWERED)


def tools():
    (call,) = ask("tool", tools=[WEATHER_TOOL]).choices[0].message.tool_calls
    called(call.function.arguments)


def tools_streamed():
    chunks = list(ask("tool", tools=[WEATHER_TOOL], stream=True))
    whole = litellm.stream_chunk_builder(chunks)
    called(whole.choices[0].message.tool_calls[0].function.arguments)


def schema():
    form = {"name": "person", "schema": PERSON, "strict": True}
    answer = ask("json", response_format={"type": "json_schema", "json_schema": form})
    person(answer.choices[0].message.content)


def embeddings():
    check(len(litellm.embedding(**OPENAI, input=["a", "b"]).data), 2)


def logprobs():
    answer = ask("logprobs", logprobs=True)
    check(answer.choices[0].logprobs.content[0].logprob, -0.5)


def errors():
    raises(litellm.NotFoundError, lambda: ask(SAID, model="openai/gpt-none"))
    raises(litellm.AuthenticationError, lambda: ask(SAID, api_key="sk-km-stranger"))
    raises(litellm.RateLimitError, lambda: ask("busy litellm once"))


def blocked():
    raises(litellm.BadRequestError, lambda: ask(INJECTION))


def masked():
    check(ask(f"echo {EMAIL}").choices[0].message.content, f"echo {EMAIL}")


def retry():
    check(ask("busy litellm retry", max_retries=2).choices[0].message.content, ANSWERED)


def responses():
    answer = litellm.responses(**OPENAI, input=SAID)
    check(answer.output[0].content[0].text, ANSWERED)


def messages():
    answer = litellm.completion(**ANTHROPIC, messages=user(SAID))
    check(answer.choices[0].message.content, ANSWERED)
    check(text_of(litellm.completion(**ANTHROPIC, messages=user(SAID), stream=True)), ANSWERED)


run(
    "litellm",
    {
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
        "messages": messages,
    },
)
