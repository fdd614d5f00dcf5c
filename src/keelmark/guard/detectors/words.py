"""Lists of words: competitors, products, words nobody is to read or write, each with its label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

import msgspec

from keelmark.core.errors import UsageError
from keelmark.guard._pieces import LONGEST
from keelmark.guard._wordlists import Entry, Label, Language, Words, forms, tokens
from keelmark.guard.contract import BaseDetector, Example, Hit


class WordList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list of words and phrases.

    Attributes:
        words: What is looked for; case and accents do not matter.
        label: What is reported.
        match: `word`: as it is; `forms`: its plural and other endings too; `start`: every word
            that begins with it; `inside`: every word that contains it.
        languages: Whose endings `forms` knows.
        disguised: Whether to look for words of four letters and more in disguise too: digits
            and signs for letters, letters apart, stars, letters that are stretched.
        cased: Whether it counts only where it begins with a capital letter.
    """

    words: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    label: Label = "WORD"
    match: Literal["word", "forms", "start", "inside"] = "forms"
    languages: tuple[Language, ...] = ("en",)
    disguised: bool = True
    cased: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the detector for word lists.

    Attributes:
        lists: The lists. What is on two of them has the label of the first.
    """

    lists: tuple[WordList, ...] = ()


_LISTS = {
    "lists": [
        {
            "label": "COMPETITOR",
            "words": ["Grumbolt", "Vanta Blue Ltd", "星光银行"],
            "match": "word",
        },
        {"label": "RUDE", "words": ["dratted", "swindle", "bosh"]},
        {"label": "DRUG", "words": ["Droge", "Rausch"], "languages": ["de"], "match": "start"},
        {"label": "FRUIT", "words": ["Apple"], "cased": True, "match": "word"},
    ]
}


class Detector(BaseDetector):
    """Words and phrases of your own lists. Without a list it finds nothing.

    Scores: 0.95 as it stands on the list, 0.9 another form or a longer word, 0.7 in disguise.
    """

    title = "Word lists: competitors, products, words that are not wanted"
    version = "1"
    labels: ClassVar[tuple[str, ...]] = ("WORD",)
    Config = Settings
    config: Settings

    examples = (
        Example("Buy it at Grumbolt's, not here.", ("COMPETITOR",), "a name", config=_LISTS),
        Example("vanta-blue  LTD", ("COMPETITOR",), "a phrase", config=_LISTS),
        Example("我在星光银行工作。", ("COMPETITOR",), "Chinese", config=_LISTS),
        Example("They were swindled by swindlers.", ("RUDE", "RUDE"), "forms", config=_LISTS),
        Example("Drogenhandel am Bahnhof", ("DRUG",), "beginning", config=_LISTS),
        Example("An Apple phone", ("FRUIT",), "a capital letter", config=_LISTS),
        Example("gr\u00fcmb0lt, Grum-bolt, gruuumbolt", ("COMPETITOR",) * 3, "evasion: digits, "
            "signs, stretched", config=_LISTS),
        Example("a g r u m b o l t!", ("COMPETITOR",), "evasion: letters apart", config=_LISTS),
        Example("s.w.1.n.d.l.e", ("RUDE",), "evasion: dots", config=_LISTS),
        Example("what a $w|nd!e and b*sh", ("RUDE", "RUDE"), "evasion: signs", config=_LISTS),
        Example("Grumbоlt", ("COMPETITOR",), "evasion: Cyrillic letter", config=_LISTS),
        Example("a boshy windle of 5 or 6 apples: 1 2 3 4", (), "look-alike", config=_LISTS),
        Example("vanta is blue", (), "look-alike: half a phrase", config=_LISTS),
        Example("The quick brown fox jumps over the lazy dog.", (), "clean", config=_LISTS),
        Example("Grumbolt", (), "no list"),
    )  # fmt: skip

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        self._words = Words()
        for words in self.config.lists:
            for word in words.words:
                self._add(word, words)
        if self.config.lists:
            labels = tuple(dict.fromkeys(words.label for words in self.config.lists))
            vars(self)["labels"] = labels

    def _add(self, word: str, words: WordList) -> None:
        parts = tokens(word)
        if not parts or max(map(len, parts)) > LONGEST:
            raise UsageError(
                f"words: {word!r} cannot be looked for; write words of letters and digits, each "
                f"of at most {LONGEST} characters."
            )
        written = Entry(words.label, 0.95, "on the list as it stands", words.cased)
        other = Entry(words.label, 0.9, "another form of what is on the list", words.cased)
        hidden = Entry(words.label, 0.7, "on the list, in disguise", words.cased)
        last = {parts[-1]}
        if words.match == "forms":
            last = forms(parts[-1], words.languages)
        self._words.add(parts, parts[-1:], written)
        self._words.add(parts, last, other)
        if words.match in {"start", "inside"} and len(parts) == 1:
            self._words.add_part(parts[0], other, inside=words.match == "inside")
        if words.disguised:
            for form in sorted(last):
                self._words.add_disguised("".join([*parts[:-1], form]), hidden)

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        return self._words.read(text, start)[0] if self.config.lists else []

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: no token that is on a list or might be in disguise."""
        return not self.config.lists or self._words.quiet(text[start:])

    def open_from(self, text: str, start: int = 0) -> int:
        """Return where a word or a phrase begins that may go on."""
        return self._words.read(text, start)[1] if self.config.lists else len(text)
