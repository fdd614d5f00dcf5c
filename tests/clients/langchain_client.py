"""langchain-openai."""

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
    WEATHER_TOOL,
    called,
    check,
    raises,
    run,
)
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

where = {"base_url": f"{URL}/v1", "api_key": KEY, "model": MODEL}
chat_model = ChatOpenAI(**where, max_retries=2)


def chat():
    check(chat_model.invoke(SAID).content, ANSWERED)


def stream():
    check("".join(chunk.content for chunk in chat_model.stream(SAID)), ANSWERED)


def tools():
    (call,) = chat_model.bind_tools([WEATHER_TOOL]).invoke("tool").tool_calls
    called(call["args"])


def tools_streamed():
    whole = None
    for chunk in chat_model.bind_tools([WEATHER_TOOL]).stream("tool"):
        whole = chunk if whole is None else whole + chunk
    called(whole.tool_calls[0]["args"])


def schema():
    form = {"title": "person", "description": "A person.", **PERSON}
    made = chat_model.with_structured_output(form, method="json_schema").invoke("json")
    check(made, {"name": "Ada", "age": 36})


def embeddings():
    made = OpenAIEmbeddings(**where, check_embedding_ctx_length=False)
    check(len(made.embed_documents(["a", "b"])), 2)


def logprobs():
    answer = ChatOpenAI(**where, logprobs=True).invoke("logprobs")
    check(answer.response_metadata["logprobs"]["content"][0]["logprob"], -0.5)


def errors():
    unknown = ChatOpenAI(**{**where, "model": "gpt-none"})
    raises(openai.NotFoundError, lambda: unknown.invoke(SAID))
    stranger = ChatOpenAI(**{**where, "api_key": "sk-km-stranger"})
    raises(openai.AuthenticationError, lambda: stranger.invoke(SAID))


def blocked():
    raises(openai.BadRequestError, lambda: chat_model.invoke(INJECTION))


def masked():
    check(chat_model.invoke(f"echo {EMAIL}").content, f"echo {EMAIL}")


def retry():
    check(chat_model.invoke("busy langchain retry").content, ANSWERED)


def responses():
    answer = ChatOpenAI(**where, use_responses_api=True).invoke(SAID)
    check(answer.text, ANSWERED)


run(
    "langchain-openai",
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
    },
)
