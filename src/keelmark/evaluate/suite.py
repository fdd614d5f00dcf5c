"""Suites: one file each, which says where the data is, what is asked and how it is scored.

A suite is `suites/ID.yaml`, or `suites/ID.py` with `SUITE` and `sample(row, suite)` where a
template is not enough. Anybody's own suite is a file of the same form, given by its path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NamedTuple

import msgspec

from keelmark.core.canonical import digest
from keelmark.core.errors import UsageError
from keelmark.core.yamlfile import Strict, fill, meant, read_document
from keelmark.evaluate.contract import Row, Sample
from keelmark.plugins import discover

_SUITES = "keelmark.evaluate.suites"
_SCORERS = "keelmark.evaluate.scorers"

Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_]{0,63}\Z")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")]


class Hub(Strict, frozen=True):
    """Where the data lies on a hub, pinned.

    Attributes:
        dataset: `organisation/name`.
        revision: Commit, 40 hexadecimal digits.
        file: Path in the repository (JSON lines, CSV or Parquet).
        sha256: Of that file; "" where the commit alone has to do.
        fields: Field of a row to what it is of the hub's row, a Jinja expression (`question_stem`,
            `choices.label.index(answerKey)`); none for rows that are as they have to be.
    """

    dataset: Annotated[str, msgspec.Meta(pattern=r"^\w[\w.-]*/\w[\w.-]*\Z")]
    revision: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}\Z")]
    file: Annotated[str, msgspec.Meta(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*\Z")]
    sha256: Sha256 = ""
    fields: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where it is kept in a folder for data."""
        return f"hub/{self.dataset.replace('/', '--')}/{self.revision}/{self.file}"


class Data(Strict, frozen=True):
    """Where the rows are.

    Attributes:
        file: Name of the file: JSON lines, CSV or Parquet, also with `.gz`; "" for data that comes
            from a hub alone.
        sha256: Of the file; "" only for a suite of one's own.
        rows: How many it has; 0 when nobody counted.
        licence: SPDX id, or words.
        source: Where it is from.
        edition: Which of several editions, where there are several.
        hub: Where it can be fetched.
    """

    file: str = ""
    sha256: Sha256 = ""
    rows: int = 0
    licence: str = ""
    source: str = ""
    edition: str = ""
    hub: Hub | None = None


class Shots(Strict, frozen=True):
    """Worked examples before the question.

    Attributes:
        count: How many; `--shots` overrides it.
        data: Where they are; the rows of the suite itself when None (never the row that is asked).
        same: Only those whose value of this field is that of the row.
        text: Template of one of them, with its answer.
        between: What is between two of them.
        head: Template of what is before the first.
    """

    count: int = 0
    data: Data | None = None
    same: str = ""
    text: str = ""
    between: str = "\n\n"
    head: str = ""


class Choice(Strict, frozen=True, tag_field="kind", tag="choice"):
    """The model does not write: each choice is weighed after the question.

    Attributes:
        context: Template of the question.
        choice: Template of one choice; it sees `choice`, `letter` and `number` (from 0).
        choices: Field with the choices.
        answer: Field with the number of the right one.
        chat: Whether the context is what a user says, so that choices begin an answer.
        system: Template of a system prompt, with `chat`.
        unconditional: Template of a context without the question, for measures that compare with
            it (`Answer:`); "" for none.
    """

    context: str
    choice: str = " {{ choice }}"
    choices: str = "choices"
    answer: str = "answer"
    chat: bool = False
    system: str = ""
    unconditional: str = ""


class Answer(Strict, frozen=True, tag_field="kind", tag="generate"):
    """The model writes an answer.

    Attributes:
        user: Template of what the user says.
        system: Template of a system prompt; "" for none.
        plain: Whether it is a text to be continued, without a chat template.
        target: Field with the right answer.
        max_tokens: Longest answer, tokens.
        stop: Texts that end it.
        n: Answers to draw.
        temperature: 0 asks for the likeliest.
        logprobs: Whether the log-probabilities of its tokens are wanted.
        extra: Other fields of the request.
    """

    user: str
    system: str = ""
    plain: bool = False
    target: str = "answer"
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    n: int = 1
    temperature: float = 0.0
    logprobs: bool = False
    extra: dict[str, Any] = msgspec.field(default_factory=dict)


class Script(Strict, frozen=True, tag_field="kind", tag="script"):
    """The Python file makes the samples."""


class ScoredBy(Strict, frozen=True):
    """Who scores.

    Attributes:
        id: A file in `scorers/`.
        options: Its options.
    """

    id: str
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class Published(Strict, frozen=True):
    """A figure that somebody published, to compare with.

    Attributes:
        model: Of which model.
        measure: Which measure.
        value: The figure.
        source: Where.
        setting: How it was measured.
    """

    model: str
    measure: str
    value: float
    source: str
    setting: str = ""


class Suite(Strict, frozen=True):
    """One evaluation.

    Attributes:
        id: File name without its ending.
        title: Name for people.
        about: What it measures and what not, a few sentences.
        version: `NUMBER-LETTER`: results of one number can be compared; the letter counts changes
            that leave them comparable.
        data: Where the rows are.
        ask: What is asked of each.
        scorer: Who scores.
        measures: Names of scores that are averaged, and ids of `measures/`.
        primary: The measure that decides.
        higher_is_better: Whether more of the primary measure is better.
        chance: What guessing reaches on the primary measure; None where that makes no sense.
        minimum: Fewest samples on which the figure means something.
        shots: Worked examples.
        slices: Fields by which measures are told apart.
        cluster: Field whose equal values stand or fall together.
        vary: Fields in which variants (typing errors, dialect) may change the words.
        tags: `risk:...`, `owasp:llm01`, `control:...`, `helm:...`.
        language: BCP 47 tag of the questions; `multi` for several.
        published: Figures to compare with.
        examples: Rows that we wrote, for those without the data, and for the tests.
        canary: Text that says that nobody may train on this; it is told in reports.
    """

    title: str
    data: Data
    ask: Choice | Answer | Script
    scorer: ScoredBy
    measures: tuple[str, ...]
    primary: str
    version: Annotated[str, msgspec.Meta(pattern=r"^\d+-[A-Z]\Z")] = "1-A"
    id: Id = "own"
    about: str = ""
    higher_is_better: bool = True
    chance: float | None = None
    minimum: int = 100
    shots: Shots = Shots()
    slices: tuple[str, ...] = ()
    cluster: str = ""
    vary: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    language: str = "en"
    published: tuple[Published, ...] = ()
    examples: tuple[dict[str, Any], ...] = ()
    canary: str = ""

    @property
    def digest(self) -> str:
        """Digest of what decides the results: everything but words for people."""
        words = {"title": "", "about": "", "published": (), "examples": (), "tags": ()}
        return digest(msgspec.structs.replace(self, **words))


MakeSample = Callable[[Row, Suite], "Sample | None"]


class Loaded(NamedTuple):
    """A suite with what belongs to it.

    Attributes:
        suite: What its file says.
        folder: Where a suite of one's own lies: its data may lie beside it. None for a shipped one.
        make: Makes a sample of a row, where a script does that.
    """

    suite: Suite
    folder: Path | None = None
    make: MakeSample | None = None


def suite_ids() -> list[str]:
    """Return the ids of the suites that are shipped or installed, sorted."""
    files = resources.files(_SUITES).iterdir()
    listed = [one.name.removesuffix(".yaml") for one in files if one.name.endswith(".yaml")]
    return sorted({*listed, *discover(_SUITES)})


def load_suite(reference: str) -> Loaded:
    """Return a suite by its id, or of a YAML file by its path.

    Raises:
        UsageError: There is none, or it does not hold together; the message names the line.
    """
    path = Path(reference)
    if path.suffix in (".yaml", ".yml") or "/" in reference:
        return Loaded(_read(_text_of(path), str(path), _id_of(path)), path.absolute().parent)
    if reference not in suite_ids():
        raise UsageError(f"There is no suite {reference!r}; {meant(reference, suite_ids())}")
    return _shipped(reference)


@cache
def _shipped(name: str) -> Loaded:
    module = discover(_SUITES).get(name)
    if module is not None:
        suite = msgspec.structs.replace(module.SUITE, id=name)
        _check(suite, f"the suite {name}")
        return Loaded(suite, None, module.sample)
    text = resources.files(_SUITES).joinpath(f"{name}.yaml").read_text("utf-8")
    return Loaded(_read(text, f"suites/{name}.yaml", name))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; name a suite in YAML.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check the path.") from None


def _id_of(path: Path) -> str:
    name = re.sub(r"[^a-z0-9_]+", "_", path.stem.lower()).strip("_")
    return name[:64] or "own"


def _read(text: str, source: str, name: str) -> Suite:
    document = read_document(text, source=source)
    suite = fill(document, Suite)
    if suite.id == "own":
        suite = msgspec.structs.replace(suite, id=name)
    _check(suite, source)
    return suite


def _check(suite: Suite, source: str) -> None:
    scorer(suite.scorer.id, source)
    options_of(suite, source)
    if suite.primary not in suite.measures:
        raise UsageError(
            f"{source}: the primary measure {suite.primary!r} is not among `measures`; "
            f"{meant(suite.primary, suite.measures)}"
        )


@cache
def scorers() -> Mapping[str, ModuleType]:
    """Return the scorers by their ids."""
    return discover(_SCORERS)


def scorer(name: str, source: str = "The suite") -> ModuleType:
    """Return a scorer. Raises UsageError when there is none of this name."""
    found = scorers().get(name)
    if found is None:
        raise UsageError(f"{source}: there is no scorer {name!r}; {meant(name, scorers())}")
    return found


def options_of(suite: Suite, source: str = "The suite") -> Any:
    """Return the options of a suite's scorer, filled in.

    Raises:
        UsageError: It has no such option, or not with this value.
    """
    shape = getattr(scorer(suite.scorer.id, source), "Options", None)
    if shape is None:
        if suite.scorer.options:
            raise UsageError(f"{source}: the scorer {suite.scorer.id!r} has no options.")
        return None
    try:
        return msgspec.convert(suite.scorer.options, shape)
    except msgspec.ValidationError as error:
        raise UsageError(f"{source}: options of {suite.scorer.id!r}: {error}.") from None
