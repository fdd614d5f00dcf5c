"""Texts are known by what they say: in any layout, and never when a word of weight differs."""

import html
import random
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.families.licences import MIT, OWN
from keelmark.vet.licence.identify import Kind, identify
from tests.unit.vet.test_licence_records import from_texts, needs_texts, text_of

APACHE = (Path(__file__).resolve().parents[3] / "LICENSE").read_text(encoding="utf-8")


def one_line(text: str) -> str:
    return " ".join(text.split())


def narrow(text: str) -> str:
    parts = re.split(r"\n\s*\n", text)
    fill = {"break_long_words": False, "break_on_hyphens": False}
    return "\n\n".join(textwrap.fill(one_line(part), 44, **fill) for part in parts)


def page(text: str) -> str:
    parts = "".join(f"<p>{html.escape(part)}</p>" for part in re.split(r"\n\s*\n", text))
    return f"<html><head><style>p {{}}</style></head><body>{parts}</body></html>"


def quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def commented(text: str) -> str:
    return "\n".join(f"// {line}" for line in text.splitlines())


def owned(text: str) -> str:
    return f"Copyright (c) 2026 Example Ltd. All rights reserved.\n\n{text}"


LAYOUTS = [str, one_line, narrow, quoted, commented, owned, str.upper]


def word_changed(text: str) -> str:
    at = list(re.finditer(r"\b[a-z]{5,}\b", text))
    match = at[len(at) // 2]
    return f"{text[: match.start()]}banana{text[match.end() :]}"


def word_added(text: str) -> str:
    at = list(re.finditer(r"\b(?:may|shall|must|is|are|hereby)\b ", text))
    match = at[len(at) // 3]
    return f"{text[: match.end()]}not {text[match.end() :]}"


def sentence_gone(text: str) -> str:
    at = list(re.finditer(r"(?<=[.;])\s+[A-Z][^.;]{40,400}[.;]", text)) or [
        re.search(r"\s\S+\s\S+\s\S+\s\S+", text[len(text) // 2 :])
    ]
    gone = at[len(at) // 2][0]
    return text.replace(gone, " ", 1)


def terms_added(text: str) -> str:
    return f"{text}\n\nYou shall not use the model for any commercial purpose.\n"


def terms_before(text: str) -> str:
    return f"The licensor may revoke what follows at any time, without a reason.\n\n{text}"


def badly_read(text: str) -> str:
    chance = random.Random(9)
    return "".join(
        {"l": "1", "o": "0", "e": "c"}.get(c, c) if chance.random() < 0.03 else c for c in text
    )


def half(text: str) -> str:
    return text[: len(text) // 2]


ALTERED = [word_changed, word_added, sentence_gone, terms_added, terms_before, badly_read, half]


@pytest.mark.parametrize("change", [*LAYOUTS, page])
@pytest.mark.parametrize(("text", "name"), [(MIT, "mit"), (APACHE, "apache-2.0")])
def test_any_layout_is_the_licence(text: str, name: str, change: Callable[[str], str]) -> None:
    match = identify(change(text))
    assert (match.kind, match.licence, match.differences) == (Kind.FULL, name, ())


@pytest.mark.parametrize("change", ALTERED)
@pytest.mark.parametrize(("text", "name"), [(MIT, "mit"), (APACHE, "apache-2.0")])
def test_an_altered_text_is_near_and_shows_where(
    text: str, name: str, change: Callable[[str], str]
) -> None:
    match = identify(change(text))
    assert (match.kind, match.licence) == (Kind.NEAR, name)
    assert match.differences
    for difference in match.differences:
        assert difference.found or difference.missing
        assert difference.line >= 1


def test_what_was_changed_is_named_with_its_clause() -> None:
    match = identify(MIT.replace("without restriction", "for research"))
    (difference,) = match.differences
    assert difference.kind == "changed"
    assert difference.found == "for research"
    assert difference.after.endswith("deal in the Software")
    assert difference.missing == 2
    assert "grant" in difference.terms
    assert match.parts[0].altered == {"grant"}


def test_a_title_or_a_link_is_not_the_licence() -> None:
    for text in ("MIT License", "Apache License\nVersion 2.0\n", "Llama 3.1 Community License", ""):
        assert identify(text).kind is Kind.UNKNOWN


def test_a_text_of_ones_own_is_unknown() -> None:
    match = identify(OWN)
    assert (match.kind, match.licence, match.parts) == (Kind.UNKNOWN, "", ())


def test_two_licences_in_one_file() -> None:
    match = identify(f"{MIT}\n\n---\n\n{APACHE}")
    assert match.kind is Kind.FULL
    assert match.licences == ("mit", "apache-2.0")
    first, second = match.parts
    assert first.end <= second.start


def test_a_licence_in_a_readme_is_found_among_the_rest() -> None:
    match = identify(f"# A model\n\nIt must be seen to be believed. {OWN}\n\n{MIT}")
    assert match.kind is Kind.NEAR
    assert [part.kind for part in match.parts] == [Kind.FULL]
    assert match.added[0].found.startswith("A model")


def test_words_cut_in_two_are_read_as_one() -> None:
    assert identify(MIT.replace("restriction", "restric-\ntion")).kind is Kind.FULL
    assert identify(MIT.replace("restriction", "restric\u200btion")).kind is Kind.FULL


@needs_texts
@pytest.mark.parametrize("record", from_texts(), ids=lambda record: record.id)
def test_every_text_is_known_in_any_layout(record) -> None:
    text = text_of(record)
    for change in LAYOUTS[len(record.id) % 3 :: 3]:  # each layout over a third of the texts
        match = identify(change(text))
        assert match.licence == record.id, change
        assert match.kind is Kind.FULL, (change, match.differences[:2])


@needs_texts
@pytest.mark.parametrize("record", from_texts(), ids=lambda record: record.id)
def test_no_altered_text_is_taken_for_the_licence(record) -> None:
    text = text_of(record)
    for change in ALTERED[len(record.id) % 2 : 5 : 2]:  # each change over half of the texts
        match = identify(change(text))
        assert match.kind is Kind.NEAR, change
        assert match.licence == record.id, change


@needs_texts
def test_versions_of_one_family_are_told_apart() -> None:
    texts = {record.id: text_of(record) for record in from_texts()}
    for name in ("llama-3.1", "llama-3.2", "llama-4", "gemma-2024", "gemma-2025"):
        assert identify(texts[name]).licences == (name,)
    older = texts["llama-3.1"].replace("3.1", "3.9")
    match = identify(older)
    assert match.kind is Kind.NEAR
    cap = texts["llama-3.1"].replace("700 million", "900 million")
    assert identify(cap).parts[0].altered == {"user-cap"}
    start = texts["llama-3.1"].index("2. Additional Commercial Terms")
    end = texts["llama-3.1"].index("3. Disclaimer of Warranty")
    gone = identify(texts["llama-3.1"][:start] + texts["llama-3.1"][end:])
    assert (gone.kind, gone.licence) == (Kind.NEAR, "llama-3.1")
    assert gone.parts[0].altered == {"user-cap"}
