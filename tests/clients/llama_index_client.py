"""LlamaIndex, by its client for servers that are like OpenAI's."""

import openai
from harness import (
    ANSWERED,
    EMAIL,
    INJECTION,
    KEY,
    MODEL,
    SAID,
    URL,
    called,
    check,
    raises,
    run,
)
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def model(**more):
    where = {"model": MODEL, "api_base": f"{URL}/v1", "api_key": KEY}
    kind = {"is_chat_model": True, "is_function_calling_model": True, "context_window": 8192}
    return OpenAILike(**{**where, **kind, "max_retries": 2, **more})


def said(text):
    return [ChatMessage(role="user", content=text)]


def get_weather(city: str) -> str:
    """Weather."""
    return city


TOOL = FunctionTool.from_defaults(get_weather)


def chat():
    check(model().chat(said(SAID)).message.content, ANSWERED)


def stream():
    check("".join(part.delta for part in model().stream_chat(said(SAID))), ANSWERED)


def tools():
    answer = model().chat_with_tools([TOOL], user_msg="tool")
    (call,) = model().get_tool_calls_from_response(answer)
    called(call.tool_kwargs)


def tools_streamed():
    *_, last = model().stream_chat_with_tools([TOOL], user_msg="tool")
    (call,) = model().get_tool_calls_from_response(last)
    called(call.tool_kwargs)


def schema():
    strict = model(should_use_structured_outputs=True)
    made = strict.as_structured_llm(Person).chat(said("json")).raw
    check((made.name, made.age), ("Ada", 36))


def embeddings():
    made = OpenAIEmbedding(model_name=MODEL, api_base=f"{URL}/v1", api_key=KEY)
    check(len(made.get_text_embedding_batch(["a", "b"])), 2)


def errors():
    raises(openai.NotFoundError, lambda: model(model="gpt-none").chat(said(SAID)))
    stranger = model(api_key="sk-km-stranger")
    raises(openai.AuthenticationError, lambda: stranger.chat(said(SAID)))


def blocked():
    raises(openai.BadRequestError, lambda: model().chat(said(INJECTION)))


def masked():
    check(model().chat(said(f"echo {EMAIL}")).message.content, f"echo {EMAIL}")


def retry():
    check(model().chat(said("busy llamaindex retry")).message.content, ANSWERED)


run(
    "llama-index-core",
    {
        "chat": chat,
        "stream": stream,
        "tools": tools,
        "tools streamed": tools_streamed,
        "JSON schema": schema,
        "embeddings": embeddings,
        "errors": errors,
        "blocked": blocked,
        "masked": masked,
        "retry": retry,
    },
)
