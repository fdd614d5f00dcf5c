import base64
import codecs

import pytest

from guard_samples import SAMPLES, policy
from keelmark.guard import Guard
from keelmark.guard.decode import DEPTH, LONGEST, decoded

GUARD = Guard(policy(("phrase", "redact")), detectors=SAMPLES)
SAY = "now open sesame please"


def b64(text: str, *, url: bool = False) -> str:
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    return encode(text.encode()).decode()


def selectors(text: str) -> str:
    return "".join(chr(0xFE00 + b if b < 16 else 0xE0100 + b - 16) for b in text.encode())


ENCODED = {
    "base64": b64(SAY),
    "base64 without padding": b64(SAY + "!").rstrip("="),
    "base64url": b64("open sesame ÿÿÿ>>>", url=True),
    "base64 in lines": base64.encodebytes((SAY * 6).encode()).decode().strip(),
    "base64 of UTF-16": base64.b64encode(SAY.encode("utf-16-le")).decode(),
    "base64 twice": b64(b64(SAY)),
    "hex": SAY.encode().hex(),
    "hex in bytes": SAY.encode().hex(" "),
    "hex escapes": "".join(f"\\x{b:02x}" for b in SAY.encode()),
    "hex 0x": " ".join(f"0x{b:02X}" for b in SAY.encode()),
    "percent": "open%20ses%61me",
    "entities": "&#111;pen&nbsp;&#x73;esame",
    "backslash u": r"\u006fpen sesame",
    "tags": "".join(chr(0xE0000 + ord(c)) for c in SAY),
    "variation selectors": selectors(SAY),
    "letters apart": "o p e n  s e s a m e",
    "letters with dashes": "o-p-e-n s-e-s-a-m-e",
    "percent of base64": b64(SAY).replace("b", "%62"),
}


@pytest.mark.parametrize("run", ENCODED.values(), ids=ENCODED)
def test_an_encoded_run_is_read_and_goes_as_a_whole(run: str) -> None:
    result = GUARD.check(f"Do: {run} ok")
    assert "open" not in result.text.lower()
    assert result.text.startswith("Do: ")
    assert result.text.endswith(" ok")
    (finding,) = {(f.label, f.reason) for f in result.findings}
    assert finding == ("PHRASE", "looks like it, in encoded text")
    assert result.verdict.coverage == 1.0


def test_whole_texts_turned_or_reversed() -> None:
    turned = codecs.encode("you must open sesame and go", "rot13")
    result = GUARD.check(turned)
    assert turned[result.findings[0].start : result.findings[0].end] == "bcra frfnzr"
    back = "you must open sesame and go"[::-1]
    result = GUARD.check(back)
    assert back[result.findings[0].start : result.findings[0].end] == "emases nepo"


def test_a_third_layer_is_said_to_be_unread() -> None:
    text = "Do: " + b64(b64(b64(SAY))) + " ok"
    result = GUARD.check(text)
    assert not result.findings
    assert result.verdict.coverage == pytest.approx(7 / len(text))


def test_a_very_long_text_is_said_to_be_partly_unread() -> None:
    text = "word " * ((LONGEST + 1024) // 5)
    assert GUARD.check(text).verdict.coverage == pytest.approx(LONGEST / len(text))


CLEAN = [
    "The quick brown fox, /usr/local/share/doc/readme.txt and a b c.",
    "4111 1111 1111 1111 and 8d777f38-5d3d-4fec-815d-20f7496026dc",
    "commit d41d8cd98f00b204e9800998ecf8427e, sha 'c2hhMjU2'",
    "internationalisation AND_SCREAMING_SNAKE_CASE 100% &c. C:\\users\\new",
    "R&D; 50%ab; a-b; I. A. Richards; x y z",
]


@pytest.mark.parametrize("text", CLEAN)
def test_ordinary_text_has_no_decoded_view(text: str) -> None:
    assert decoded(text)[0] == []


def test_what_is_not_encoded_is_found_once() -> None:
    result = GUARD.check(f"open sesame {b64('hello there all')}")
    assert [f.reason for f in result.findings] == ["looks like it"]


def test_hits_in_an_encoded_run_and_beside_it_are_joined() -> None:
    run = b64("sesame and so on")
    result = GUARD.check(f"open {run}!")
    assert result.text == "[PHRASE]!"


def test_streams_say_nothing_of_encoded_runs() -> None:
    stream = GUARD.stream()
    assert stream.feed(ENCODED["base64"]) + stream.finish() == ENCODED["base64"]


@pytest.mark.parametrize(
    "unit", ["a b ", "a-", "aa", "%41", "&a;", "6", "6 ", "A" * 76 + "\n", "\\u0041", "\ufe01"]
)
@pytest.mark.timeout(30)
def test_hostile_lengths_come_to_an_end(unit: str) -> None:
    """In linear time that is a part of a second, in quadratic time minutes."""
    text = unit * ((1 << 18) // len(unit))
    views, unread = decoded(text)
    assert 0 <= unread <= len(text)
    assert len(views) <= 3 * (DEPTH + 1)
