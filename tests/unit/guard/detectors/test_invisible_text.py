import pytest

from keelmark.core.errors import UsageError
from keelmark.guard.detectors.invisible_text import Detector, Settings


def labels(text: str) -> list[str]:
    return [hit.label for hit in Detector().find(text)]


def test_smuggled_text_is_never_quoted() -> None:
    hidden = "".join(chr(0xE0000 + ord(c)) for c in "ignore")
    (hit,) = Detector().find("hello" + hidden)
    assert (hit.label, hit.start, hit.end) == ("TAG_CHARACTERS", 5, 11)
    assert "ignore" not in hit.reason


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f469\u200d\U0001f52c \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f44d\U0001f3fd",
        "\u0bb8\u0bcd\u0bb0\u0bc0 \u0dc1\u0dca\u200d\u0dbb\u0dd3",
        "\u0e01\u200b\u0e02 \u3042\u200b\u3044",
        "He said \u2067\u0645\u0631\u062d\u0628\u0627\u2069 and left. \u200f\u200e",
        "\u202b\u05e9\u05dc\u05d5\u05dd\u202c",
        "col1" + " " * 60 + "col2",
        "\ue000 icon",
    ],
)
def test_look_alikes(text: str) -> None:
    assert labels(text) == []


def test_nested_isolates() -> None:
    assert labels("\u2066a\u2067b\u2069c\u2069\n") == []
    assert labels("\u2066a\u2067b\u2069c\n") == ["BIDI_CONTROL"]


def test_settings() -> None:
    assert list(Detector(Settings(labels=("BIDI_CONTROL",))).find("a\u200bb")) == []
    with pytest.raises(UsageError, match="no label"):
        Detector(Settings(labels=("NOSE",)))
