import datetime as dt

import msgspec
import pytest

from keelmark.core.errors import UsageError
from keelmark.core.yamlfile import Strict, read_yaml, stranger_yaml


class Inner(Strict, frozen=True):
    name: str
    size: int = 1


class Outer(Strict, frozen=True):
    title: str = "none"
    items: tuple[Inner, ...] = ()


def test_reads_a_document_and_fills_defaults() -> None:
    read = read_yaml("title: a\nitems:\n  - {name: b}\n", Outer, source="x.yaml")
    assert read == Outer(title="a", items=(Inner(name="b"),))
    assert read_yaml("", Outer, source="x.yaml") == Outer()


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("title: a\ntitel: b\n", 2, "titel"),
        ("title: a\nitems:\n  - name: b\n    sise: 2\n", 4, "sise"),
        (
            "items:\n  - name: b\n  - name: c\n    size: big\n",
            4,
            "must be a whole number, not text",
        ),
        ("items:\n  - name: b\n  - size: 1\n", 3, "name"),
        ("title: a\nitems: []\ntitle: c\n", 3, "given twice"),
        ("items:\n  - name: b\n    size: 1\n    size: 2\n", 4, "given twice"),
        ("title: [\n", 2, "not valid YAML"),
        ("title: !!python/object:os.system x\n", 1, "not valid YAML"),
        ("- a\n", 1, "object"),
    ],
)
def test_mistakes_name_the_line(text: str, line: int, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_yaml(text, Outer, source="x.yaml")
    assert f"x.yaml, line {line}" in caught.value.message
    assert word in caught.value.message


@pytest.mark.parametrize("text", ["[" * 5000, "title: \x00", "&a [*a, *a]"])
def test_hostile_documents_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        read_yaml(text, Outer, source="x.yaml")


def test_a_date_is_text() -> None:
    assert read_yaml("title: 2026-01-31", Outer, source="x.yaml").title == "2026-01-31"


def test_structs_are_frozen() -> None:
    assert issubclass(Outer, msgspec.Struct)
    with pytest.raises(AttributeError):
        Outer().title = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    [
        "{" * 200_000,
        "- " * 100_000,
        "? " * 50_000,
        "a: &x 1\nb: *x",
        "'" * 99_999,
        "a: b: c",
        "\x00",
        "- 1\n" * 100_001,
    ],
    ids=["brackets", "dashes", "keys", "alias", "quote", "colons", "zero", "long"],
)
def test_what_a_stranger_must_not_write(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (any)
        stranger_yaml(text)


def test_what_a_stranger_may_write() -> None:
    assert stranger_yaml("a: [1, {b: c}]\nd: 2026-01-01") == {
        "a": [1, {"b": "c"}],
        "d": dt.date(2026, 1, 1),
    }
