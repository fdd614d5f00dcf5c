"""instructor, which makes objects of answers."""

import instructor
import openai
from harness import INJECTION, KEY, MODEL, URL, check, raises, run, user
from pydantic import BaseModel

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=2)


class Person(BaseModel):
    name: str
    age: int


def ask(mode, said, **more):
    by = instructor.from_openai(client, mode=mode)
    asked = {"model": MODEL, "messages": user(said), "response_model": Person, "max_retries": 0}
    return by.chat.completions.create(**{**asked, **more})


def schema():
    made = ask(instructor.Mode.JSON_SCHEMA, "json")
    check((made.name, made.age), ("Ada", 36))


def tools():
    made = ask(instructor.Mode.TOOLS, "person")
    check((made.name, made.age), ("Ada", 36))


def stream():
    by = instructor.from_openai(client, mode=instructor.Mode.JSON_SCHEMA)
    asked = {"model": MODEL, "messages": user("json"), "response_model": Person}
    *_, last = by.chat.completions.create_partial(**asked)
    check((last.name, last.age), ("Ada", 36))


def again():
    """The first answer does not fit; it asks again, with what was wrong."""
    made = ask(instructor.Mode.JSON_SCHEMA, "unfit instructor json", max_retries=1)
    check((made.name, made.age), ("Ada", 36))


def blocked():
    raises(Exception, lambda: ask(instructor.Mode.JSON_SCHEMA, INJECTION))


def retry():
    made = ask(instructor.Mode.JSON_SCHEMA, "busy instructor retry json")
    check((made.name, made.age), ("Ada", 36))


run(
    "instructor",
    {
        "JSON schema": schema,
        "tools": tools,
        "stream": stream,
        "asks again": again,
        "blocked": blocked,
        "retry": retry,
    },
)
