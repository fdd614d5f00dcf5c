"""Biased wording: statements about whole groups, adverts that exclude, outdated words, slurs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, ClassVar, Literal

import msgspec

from keelmark.guard._bias import begun, found, labels, prepare
from keelmark.guard._bias_context import AFTER, hits
from keelmark.guard._patterns import AllowConfig, Allowed, lower, settle
from keelmark.guard.contract import BaseDetector, Example, Hit, last_token, last_word

_SHORT = 256  # longer texts are looked through once, by the ordinary way

Kind = Literal["generalisation", "exclusion", "outdated", "slur"]
Ground = Literal[
    "gender", "family", "age", "disability", "ethnicity", "religion", "nationality",
    "orientation", "class", "body",
]  # fmt: skip


class Settings(AllowConfig, frozen=True, forbid_unknown_fields=True):
    """Settings of the detector for biased wording.

    Attributes:
        kinds: The kinds to report; all when empty.
        grounds: The grounds to report; all when empty.
        least: Lowest score that is reported, 0 to 1. Below 0.5 lies what is quoted, criticised or
            asked, and names of jobs outside of adverts.
    """

    kinds: tuple[Kind, ...] = ()
    grounds: tuple[Ground, ...] = ()
    least: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class Detector(BaseDetector):
    """Wording that speaks badly of people for what they are, or shuts them out.

    A label is a kind and a ground. Kinds: what is said of all of a group (GENERALISATION), wording
    that turns people away, mostly in adverts (EXCLUSION), words that have had their day
    (OUTDATED), insults (SLUR). A reason names a plainer wording where there is one. Who speaks of
    bias is not biased: quotation, criticism, questions and figures with a source halve the score.
    `orientation` stands for gender identity too, `family` for marriage, pregnancy and children.
    """

    title = "Biased wording, by ground and kind"
    version = "1"
    labels: ClassVar[tuple[str, ...]] = labels()
    tags = ("nist-ai-600-1:harmful-bias",)
    languages = ("en", "de", "fr", "es")
    points: ClassVar[Mapping[str, float]] = {"balanced": 0.5, "precise": 0.7, "certain": 0.85}
    Config = Settings
    config: Settings

    examples = (
        Example("Women are bad at maths.", ("GENERALISATION_GENDER",), "a statement about all"),
        Example("All Muslims are terrorists.", ("GENERALISATION_RELIGION",), "with a quantifier"),
        Example("The poor are just lazy.", ("GENERALISATION_CLASS",), "after an article"),
        Example("Old people can't learn new things.", ("GENERALISATION_AGE",), "an ability"),
        Example("Why are women so bad at driving?", ("GENERALISATION_GENDER",), "taken as given"),
        Example("I'm not racist, but immigrants are criminals.", ("GENERALISATION_NATIONALITY",),
            "no excuse"),
        Example("Frauen gehören an den Herd.", ("EXCLUSION_GENDER",), "German"),
        Example("Ich finde, dass Frauen schlecht in Mathe sind.", ("GENERALISATION_GENDER",),
            "German, verb last"),
        Example("Les femmes sont nulles en maths.", ("GENERALISATION_GENDER",), "French"),
        Example("Los inmigrantes son todos unos vagos.", ("GENERALISATION_NATIONALITY",),
            "Spanish"),
        Example("We are hiring: join our young and dynamic team!", ("EXCLUSION_AGE",), "advert"),
        Example("Experienced salesman wanted, native English speakers only.",
            ("EXCLUSION_GENDER", "EXCLUSION_NATIONALITY"), "advert"),
        Example("Verkäufer gesucht für unser junges Team", ("EXCLUSION_GENDER", "EXCLUSION_AGE"),
            "advert, German"),
        Example("He is confined to a wheelchair.", ("OUTDATED_DISABILITY",), "outdated"),
        Example("Sie ist taubstumm.", ("OUTDATED_DISABILITY",), "outdated, German"),
        Example("Look at those towelheads", ("SLUR_ETHNICITY",), "a slur"),
        Example("W\u200bomen\nare  *bad* \u0430t maths", ("GENERALISATION_GENDER",),
            "evasion: zero width, stars, Cyrillic"),
        Example("The myth that women are bad at maths does harm.", (), "look-alike: criticism"),
        Example("\u201cWomen are bad at maths\u201d is a stereotype.", (), "look-alike: quoted"),
        Example("Women are not bad at maths.", (), "look-alike: negation"),
        Example("Not all men are violent.", (), "look-alike: not all"),
        Example("Are women bad at maths?", (), "look-alike: a question"),
        Example("He believes that gay people are sick.", (), "look-alike: reported"),
        Example("Some men are lazy; my boys are lazy too.", (), "look-alike: some"),
        Example("Say 'wheelchair user' instead of 'wheelchair bound'.", (), "look-alike: advice"),
        Example("Verkäufer (m/w/d) gesucht", (), "look-alike: all genders"),
        Example("A blind test, a grandfather clause, an old hand.", (), "look-alike: no people"),
        Example("The salesman in the play was tired.", (), "look-alike: no advert"),
        Example("The quick brown fox jumps over the lazy dog.", (), "clean"),
    )  # fmt: skip

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        prepare()  # now, so that no text waits for it
        self._allowed = Allowed(self.config)
        wanted = self.config
        self._wanted = frozenset(
            label
            for label in labels()
            if (not wanted.kinds or label.split("_")[0].lower() in wanted.kinds)
            and (not wanted.grounds or label.split("_")[1].lower() in wanted.grounds)
        )

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        low = lower(text)
        return self._allowed.drop(settle(self._candidates(text, low, start), start), text)

    def _candidates(self, text: str, low: str, start: int) -> Iterator[Hit]:
        for first, reader in begun(low, start):
            for hit in hits(text, low, first, found(reader)):
                if hit.score >= self.config.least and hit.label in self._wanted:
                    yield hit

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: no word that something begins with, or it goes on as nothing does."""
        if len(text) - start > _SHORT:
            return False
        end = last_token(text, start)
        for first, reader in begun(lower(text), start):
            if first >= end:
                break
            if next(found(reader), None) or reader.cut:
                return False
        return True

    def open_from(self, text: str, start: int = 0) -> int:
        """Return where something begins that may go on, or that is judged by what follows."""
        low = lower(text)
        opened = last_word(text, start)
        spans: list[tuple[int, int]] = []
        for first, reader in begun(low, start):
            if first >= opened:
                break
            ends = [one.end for one in found(reader)]
            if reader.cut or (ends and max(ends) + AFTER > len(low)):
                opened = first
                break
            spans += ((first, end) for end in ends)
        for first, end in reversed(spans):
            if end > opened:
                opened = min(opened, first)
        return opened
