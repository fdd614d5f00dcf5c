"""What an evaluation is made of: a row becomes a sample, a sample asks, and replies are scored.

    row --suite--> Sample(asks) --model--> replies --scorer--> scores --statistics--> measures

Everything here is a value. A reply is kept as it came; scores are made of it and can be made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

Row: TypeAlias = Mapping[str, Any]
"""One row of data, as its file has it."""

State: TypeAlias = Literal["answered", "blocked", "masked", "failed"]


class Score(msgspec.Struct, frozen=True, kw_only=True, tag="score", omit_defaults=True):
    """How likely are these texts after that one?

    Attributes:
        context: What comes before; "" for nothing.
        continuations: The texts to weigh.
        messages: A conversation (OpenAI's messages) that is put before `context` by the model's
            own chat template, with the mark that begins an answer.
        each: Whether the log-probability of every single token is wanted.
    """

    context: str
    continuations: tuple[str, ...]
    messages: tuple[dict[str, Any], ...] = ()
    each: bool = False


class Generate(msgspec.Struct, frozen=True, kw_only=True, tag="generate", omit_defaults=True):
    """What is the answer?

    Attributes:
        messages: OpenAI's messages; empty when `prompt` is asked.
        prompt: A text to be continued without a chat template.
        max_tokens: Longest answer, tokens.
        temperature: 0 asks for the likeliest answer.
        stop: Texts that end the answer.
        n: How many answers are drawn; their seeds follow each other.
        logprobs: Whether the log-probabilities of the answer's tokens are wanted.
        extra: Other fields of the request (`tools`, `response_format`), as they are.
    """

    messages: tuple[dict[str, Any], ...] = ()
    prompt: str = ""
    max_tokens: int = 256
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    n: int = 1
    logprobs: bool = False
    extra: dict[str, Any] = {}


Ask: TypeAlias = Score | Generate


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One question of a suite, ready to be asked.

    Attributes:
        id: Unique in its suite; a variant of a sample is called `ID~VARIANT`.
        asks: What is asked, in this order.
        target: The right answer, in the form that the suite's scorer wants.
        row: The row that it was made of.
        slices: Name of a slice to its value (`category`, `language`): measures are also told for
            each of them.
        cluster: Samples that stand or fall together share it (a document with several questions):
            intervals are wider for it. "" is a cluster of its own.
    """

    id: str
    asks: tuple[Ask, ...]
    target: Any = None
    row: dict[str, Any] = {}
    slices: dict[str, str] = {}
    cluster: str = ""


class Weight(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How likely a text is.

    Attributes:
        logprob: Sum over its tokens, natural logarithm.
        tokens: How many tokens it has.
        greedy: Whether each of its tokens was the likeliest; None when it was not told.
        each: The log-probability of each, when it was wanted.
    """

    logprob: float
    tokens: int
    greedy: bool | None = None
    each: tuple[float, ...] = ()


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came back for one ask.

    Attributes:
        state: `answered`; `blocked` by a guard; `masked`: the guard changed what would have been
            weighed; `failed`: nothing can be said of it.
        weights: Of a `Score`: one for each continuation.
        texts: Of a `Generate`: the answers.
        finish: Why each of them ended (`stop`, `length`, `content_filter`, `tool_calls`).
        calls: Tool calls of each answer, as OpenAI has them.
        logprobs: Log-probability of each token of each answer, when it was wanted.
        tokens_in: Tokens of the prompt.
        tokens_out: Tokens of the answers.
        seconds: How long it took, with waiting for a slot.
        verdict: What the gateway's guard made of it (`x-keelmark-verdict`), "" elsewhere.
        trace: The gateway's trace id, "" elsewhere.
        code: Code of the error, "" when there is none.
        error: Why it failed or was blocked, a sentence.
    """

    state: State
    weights: tuple[Weight, ...] = ()
    texts: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    calls: tuple[tuple[dict[str, Any], ...], ...] = ()
    logprobs: tuple[tuple[float, ...], ...] = ()
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    verdict: str = ""
    trace: str = ""
    code: str = ""
    error: str = ""

    @property
    def text(self) -> str:
        """The first answer; "" when there is none."""
        return self.texts[0] if self.texts else ""


Scores: TypeAlias = dict[str, float | None]
"""Name of a measure to the score of one sample; None: it could not be scored, which is not 0."""


def nothing_to_compare(names: Iterable[str]) -> tuple[Scores, str]:
    """Return what a scorer returns of a sample without a right answer."""
    return dict.fromkeys(names), "There is no right answer to compare with."


class Scored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sample with its scores, as it is kept beside the replies.

    Attributes:
        id: Of the sample.
        scores: See `Scores`. Names that begin with `_` are for measures over the whole run
            (`_confidence`) and are not averaged.
        state: The worst of the states of its replies.
        slices: Of the sample.
        cluster: Of the sample.
        note: Why it could not be scored, or what the scorer saw, a sentence.
    """

    id: str
    scores: Scores
    state: State = "answered"
    slices: dict[str, str] = {}
    cluster: str = ""
    note: str = ""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of a run.

    Attributes:
        value: The figure; None when nothing could be measured.
        low: Lower end of its 95 % interval.
        high: Upper end.
        n: Samples that it rests on.
        unscored: Samples that could not be scored.
        how: How figure and interval were made (`mean, Wilson`, `ECE of 10 bins, bootstrap`).
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    unscored: int = 0
    how: str = ""


class Judge(Protocol):
    """Says of a text how much of something is in it: a detector of the guard, given by `app`."""

    def __call__(
        self, text: str, *, context: str = "", options: Mapping[str, Any] = {}
    ) -> list[dict[str, Any]]:
        """Return what it finds: `label`, `score` from 0 to 1, `start`, `end`."""


class Scorer(Protocol):
    """A file in `scorers/`: its name is the id, `score` the function below.

    It may also have `Options` (a `Strict` struct with defaults: what suites may set), `JUDGES`
    (ids of the guard's detectors that it asks) and `follow_up` (see `FollowUp`).
    """

    def score(
        self,
        sample: Sample,
        replies: Sequence[Reply],
        options: Any,
        judges: Mapping[str, Judge],
    ) -> tuple[Scores, str]:
        """Return scores and a note ("" for none). It is never asked about failed replies.

        What a guard blocked or masked is for the scorer to judge: no answer is no right answer,
        but it is a refusal.
        """


class FollowUp(Protocol):
    """`follow_up` of a scorer: what another model is to be asked about the replies (a judge)."""

    def __call__(self, sample: Sample, replies: Sequence[Reply], options: Any) -> tuple[Ask, ...]:
        """Return what to ask; the replies are put behind those of the model."""
