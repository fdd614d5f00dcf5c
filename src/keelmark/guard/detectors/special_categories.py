"""Special categories of personal data: health, belief, origin ... that is said of a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

import msgspec

from keelmark.guard._patterns import AllowConfig, Allowed, lower, settle
from keelmark.guard._special import begun, labels, prepare
from keelmark.guard.contract import BaseDetector, Example, Hit, last_token, last_word

_SHORT = 256  # longer texts are looked through once, by the ordinary way

Category = Literal[
    "health", "genetic_data", "biometric_data", "religion", "political_opinion",
    "union_membership", "ethnic_origin", "sex_life", "conviction",
]  # fmt: skip


class Settings(AllowConfig, frozen=True, forbid_unknown_fields=True):
    """Settings of the detector for special categories of personal data.

    Attributes:
        categories: The categories to report; all when empty.
        least: Lowest score that is reported, 0 to 1. Below 0.5 lies what is supposed, asked, told
            as a story, or said of anybody ("a patient with asthma").
    """

    categories: tuple[Category, ...] = ()
    least: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class Detector(BaseDetector):
    """Facts of the special categories that are said of a person: GDPR, articles 9 and 10.

    A hit is the words that tell the fact ("HIV" in "she was diagnosed with HIV"), so that what
    remains does not tell it. It takes a person (pronoun, relation, role, title or name), a verb and
    a word of the tables; a few phrases after which any words count; or a field with its value.
    Fields score 0.9, what is said in the first person 0.85, of a name 0.8, of somebody's relation
    0.75, of "she", "he" or "the patient" 0.65. Questions, suppositions and stories halve the score.
    SEX_LIFE stands for orientation and gender identity too.
    """

    title = "Special categories of personal data, said of a person"
    version = "1"
    labels: ClassVar[tuple[str, ...]] = labels()
    tags = ("gdpr:art-9", "gdpr:art-10")
    languages = ("en", "de", "fr", "es")
    points: ClassVar[Mapping[str, float]] = {"balanced": 0.5, "precise": 0.7, "certain": 0.85}
    Config = Settings
    config: Settings

    examples = (
        Example("She was diagnosed with HIV last year.", ("HEALTH",), "a pronoun"),
        Example("My husband is bipolar.", ("HEALTH",), "a relation"),
        Example("58 yo patient with type 2 diabetes", ("HEALTH",), "a role"),
        Example("My brother has diabetes and severe asthma.", ("HEALTH",), "a list"),
        Example("He was diagnosed with Erdheim-Chester disease.", ("HEALTH",), "no table has it"),
        Example("I carry the BRCA1 mutation.", ("GENETIC_DATA",), "a gene"),
        Example("voiceprint: 9f3ac2d1", ("BIOMETRIC_DATA",), "a field"),
        Example("religion: Muslim\nblood type: O+", ("RELIGION", "HEALTH"), "fields"),
        Example('{"sexual_orientation": "gay"}', ("SEX_LIFE",), "a field in JSON"),
        Example("Mr. Demir is Kurdish.", ("ETHNIC_ORIGIN",), "a title"),
        Example("My boss votes for the Greens.", ("POLITICAL_OPINION",), "a vote"),
        Example("Our employee joined the union.", ("UNION_MEMBERSHIP",), "a union"),
        Example("He was convicted of theft.", ("CONVICTION",), "a crime"),
        Example("She is a lesbian.", ("SEX_LIFE",), "an orientation"),
        Example("Er ist Mitglied der IG Metall.", ("UNION_MEMBERSHIP",), "German"),
        Example("Ich weiß, dass meine Frau Brustkrebs hat.", ("HEALTH",), "German, verb last"),
        Example("Je suis catholique.", ("RELIGION",), "French"),
        Example("Elle est atteinte d'un cancer du sein.", ("HEALTH",), "French"),
        Example("Mi marido tiene diabetes tipo 2.", ("HEALTH",), "Spanish"),
        Example("Soy judía.", ("RELIGION",), "Spanish, without a pronoun"),
        Example("Sh\u200be  has *H\u0406V*", ("HEALTH",), "evasion: zero width, stars, Cyrillic"),
        Example("What are the symptoms of diabetes?", (), "look-alike: nobody's"),
        Example("Do I have diabetes?", (), "look-alike: a question"),
        Example("If she has HIV, what then?", (), "look-alike: a supposition"),
        Example("The union of two sets", (), "look-alike: no trade union"),
        Example("She is a Catholic school teacher", (), "look-alike: a school"),
        Example("A Catholic church in Rome; the history of the Kurds; HIV research", (),
            "look-alike: general talk"),
        Example("She is not Muslim.", (), "look-alike: negation"),
        Example("People diagnosed with cancer need rest.", (), "look-alike: anybody"),
        Example("religion: str", (), "look-alike: a type"),
        Example("The quick brown fox jumps over the lazy dog.", (), "clean"),
    )  # fmt: skip

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        prepare()  # now, so that no text waits for it
        self._allowed = Allowed(self.config)
        self._wanted = frozenset(one.upper() for one in self.config.categories) or {*labels()}

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        hits = (one.hit for one in begun(text, lower(text), start) if one.hit)
        wanted = (one for one in hits if one.score >= self.config.least)
        settled = settle((one for one in wanted if one.label in self._wanted), start)
        return self._allowed.drop(settled, text)

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: no word that a fact begins with is tied to anybody."""
        if len(text) - start > _SHORT:
            return False
        end = last_token(text, start)
        return all(one.start >= end for one in begun(text, lower(text), start))

    def open_from(self, text: str, start: int = 0) -> int:
        """Return where a fact begins that may go on, or that is judged by the word behind it."""
        found = sorted(begun(text, lower(text), start), key=lambda one: one.start)
        opened = min([last_word(text, start), *(one.start for one in found if one.cut)])
        for one in reversed(found):
            if one.hit and one.hit.end > opened:
                opened = min(opened, one.start)
        return opened
