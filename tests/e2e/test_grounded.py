"""The firewall on the real model: made-up sentences are caught while they stream."""

import json

import pytest

from .conftest import MODEL, Service, with_model

pytestmark = pytest.mark.engine

TEXT = (
    "The Harbor Museum in Lund opened on 4 May 1987. It has 312 ships in bottles and 14 rooms. "
    "Tickets cost 9 euros for adults. Its founder, Greta Holm, was a retired sea captain."
)
ASKED = f"<document>\n{TEXT}\n</document>\n\n"
FULL = {"x-keelmark-grounding": "full"}


@pytest.fixture(scope="module")
def grounded(tmp_path_factory, bundled_model):
    data = tmp_path_factory.mktemp("grounded")
    with_model(data, bundled_model)
    running = Service(data, "--policy", "grounded")
    try:
        yield running.wait()
    finally:
        running.stop()


def answers(service, question, *, stream, client_headers=FULL):
    """The answer to a question about the document, and the sentences that are told of it."""
    with service.client() as client:
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": ASKED + question}],
            max_tokens=90,
            temperature=0,
            stream=stream,
            extra_headers=client_headers,
        )
        if not stream:
            return answer.choices[0].message.content, answer.keelmark["grounding"]["sentences"]
        text, told = "", []
        for chunk in answer:
            if chunk.choices:
                text += chunk.choices[0].delta.content or ""
            elif chunk.model_extra.get("keelmark"):
                told = chunk.model_extra["keelmark"]["grounding"]["sentences"]
        return text, told


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_document_does_not_say_is_marked_while_it_streams(grounded, stream):
    text, told = answers(
        grounded,
        "Write a long report about the museum's architect, its history and its famous visitors.",
        stream=stream,
    )
    wrong = [one for one in told if one["verdict"] in {"unsupported", "contradicted"}]
    assert wrong, (text, told)
    marks = text.count("[unsupported]") + text.count("[removed: the sources say otherwise]")
    assert marks == len(wrong)


def test_what_the_document_says_passes_with_its_place(grounded):
    text, told = answers(grounded, "When did the museum open?", stream=True)
    assert "1987" in text.partition(". ")[0]
    first = told[0]
    assert first["verdict"] == "supported", (text, told)
    assert not text[first["end"] :].startswith(" [")
    place = first["source"]
    assert "opened on 4 May 1987" in ASKED[place["start"] : place["end"]]


def test_documents_of_the_request_are_read_by_the_model(grounded):
    with grounded.client() as client:
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "When did the museum open?"}],
            max_tokens=40,
            temperature=0,
            extra_body={"documents": [{"title": "The museum", "text": TEXT}]},
            extra_headers=FULL,
        )
    assert answer.usage.prompt_tokens > 60
    assert "1987" in answer.choices[0].message.content
    first = answer.keelmark["grounding"]["sentences"][0]
    assert first["verdict"] == "supported"
    place = first["source"]
    assert place["path"] == "documents[0].text"
    assert "opened on 4 May 1987" in TEXT[place["start"] : place["end"]]


def test_the_trace_has_the_map_and_no_text(grounded):
    answers(grounded, "How many rooms does the museum have?", stream=False)
    listed = json.loads(grounded.run("traces", "--json", "--limit", "1").stdout)
    shown = grounded.run("traces", listed[0]["trace_id"], "--json").stdout
    said = json.loads(shown)["output"]["sentences"]
    assert said
    assert "14 rooms" not in shown
