"""Attacks, written from tables, said straight to the assistant or set into documents."""

from __future__ import annotations

import base64
import codecs
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import carriers
import carriers_held
import carriers_more
from carriers import Desk
from documents import (
    HELD_LANGUAGES,
    MOST_CHARACTERS,
    MOST_TOKENS,
    Document,
    cut,
    tidy,
    tokens,
)
from grammar import Grammar, capital, languages, tables
from rows import shared

DIRECT, EACH_LANGUAGE, JAILBREAKS = 5000, 420, 1500
EMBEDDED, FOREIGN, HELD_EMBEDDED = 11000, 2600, 700
Found = tuple[str, int, str]
TABLES = ("benign", "attacks", "indirect", "orders", "breadth", "rounds")
TALK = {"chat": 0.9, "reviews": 0.9, "notes": 0.8, "transcript": 0.7, "email": 0.6, "thread": 0.7}
"""Where people ask one another: how often an order there calls the model."""
CODE = {
    "code": carriers.into_code,
    "comment": carriers_more.into_comment,
    "forum": carriers_more.into_forum,
}
ALL = {
    **carriers.TRAINED,
    **carriers_more.MORE,
    **carriers_held.HELD,
    **carriers.HELD_OUT_TOOLS,
}
LEET = str.maketrans("aeiost", "431057")
ALIKE = str.maketrans("aeocpxy", "аеосрху")


def finish(text: str) -> str:
    """Mend what comes from putting sentences together: capitals and doubled stops."""
    text = re.sub(r"([.!?:])(?<!\.\.)([.!?])+", r"\1", text).replace("⦃", "{").replace("⦄", "}")
    text = re.sub(r"([.!?]\s+)([a-z])", lambda found: found[1] + found[2].upper(), text)
    return text.lstrip(" :;,")


def _mistyped(text: str, rng: random.Random) -> str:
    return re.sub(r"(?<=\w\w)\w(?=\w)", lambda m: m[0] if rng.random() < 0.92 else "", text)


def _shouted(text: str, rng: random.Random) -> str:
    return "".join(c.upper() if rng.random() < 0.4 else c for c in text)


WAYS: tuple[Callable[[str, random.Random], str], ...] = (
    _mistyped,
    _shouted,
    lambda text, _: text.upper(),
    lambda text, _: text.lower(),
    lambda text, _: text.title(),
    lambda text, _: text.translate(LEET),
    lambda text, _: text.translate(ALIKE),
    lambda text, _: " ".join(" ".join(word) for word in text.split()),
    lambda text, _: text.replace(" ", "\u200b "),
    lambda text, _: text.replace(" ", "_"),
    lambda text, _: re.sub(r"[.,:;!?']", "", text),
)


def disguise(text: str, rng: random.Random, chance: float) -> str:
    """Return a text, now and then written in an odd way, as both sides of the data are."""
    return rng.choice(WAYS)(text, rng) if rng.random() < chance else text


def encoded(text: str, rng: random.Random) -> str:
    """Return a text in an encoding that a model can read."""
    ways: list[Callable[[str], str]] = [
        lambda t: base64.b64encode(t.encode()).decode(), lambda t: t.encode().hex(" "),
        lambda t: codecs.encode(t, "rot13"), lambda t: t[::-1],
        lambda t: " ".join(str(b) for b in t.encode()),
    ]  # fmt: skip
    return rng.choice(ways)(text)


class Attacks(Desk):
    """The grammar of all English tables."""

    def __init__(self, crimes: list[str], prose: list[str], rng: random.Random) -> None:
        """Take harmful deeds as they complete "how to ...", and sentences of any kind."""
        own = {**tables("carriers")}
        for name in TABLES:
            own |= tables(f"injection_{name}")
        own["crime"] = own["crime"] * 12 + crimes
        own |= {"encoded": ["ENCODED"], "reversed": ["REVERSED"], "quote": ["QUOTE"]}
        own["DOC"] = ["DOCUMENT"]
        super().__init__(own, rng, prose)
        self.requests: list[str] = []

    def direct(self) -> str:
        """Return an attack that is said straight to the assistant."""
        text = finish(self.write("direct"))
        if "ENCODED" in text or "REVERSED" in text:
            order = f"{self.write('override')}. {self.write('goal')}"
            text = text.replace("ENCODED", encoded(order, self.rng)).replace(
                "REVERSED", order[::-1]
            )
        return capital(text) if self.rng.random() < 0.8 else text

    def indirect(self, framed: float = 0.55) -> str:
        """Return an order to set into a document, so often with a frame that calls the model."""
        if self.requests and self.rng.random() < (1 - framed) * 0.5:
            return self.rng.choice(self.requests)
        text = finish(self.write("framed" if self.rng.random() < framed else "bare"))
        return capital(text) if self.rng.random() < 0.85 else text

    def order(self, framed: float, *, code: bool) -> str:
        """Return an order to set into a document that is trained on, mostly a harmless errand."""
        rng = self.rng
        if code and rng.random() < 0.6:
            text = finish(self.write("code_order"))
        elif rng.random() < 0.45:
            return self.indirect(framed)
        else:
            text = finish(self.write("framed_errand" if rng.random() < framed else "errand"))
        return capital(text) if rng.random() < 0.9 else text

    def request(self) -> str:
        """Return what a document asks of people: the twin of an order."""
        names = ("to_people", "to_people", "h_dev", "h_step", "h_note", "r_next", "innocent")
        if self.rng.random() < 0.5:
            return self.innocent()
        text = finish(
            " ".join(self.write(self.rng.choice(names)) for _ in range(self.rng.choice([1, 1, 2])))
        )
        if self.rng.random() < 0.2:
            text = f"{self.write('mark')}{text}{self.write('endmark')}"
        return capital(text)

    def innocent(self) -> str:
        """Return a sentence to set into a document that tells people, not the model, what to do."""
        rng = self.rng
        text = " ".join(self.write("innocent") for _ in range(rng.choice([1, 1, 1, 2, 3])))
        if rng.random() < 0.15:
            text = rng.choice(self.prose)
        elif rng.random() < 0.2:
            text = self.write(rng.choice(["say", "reported"]))
        if rng.random() < 0.3:
            text = f"{self.write('mark')}{text}{self.write('endmark')}"
        if rng.random() < 0.06:
            quoted = self.indirect()
            text = self.write("about").replace("QUOTE", quoted.replace("\n", " "))
        return finish(text)


def language_grammar(language: str, rng: random.Random) -> Grammar:
    """Return the grammar of a language's tables."""
    return Grammar(languages()[language], rng)


def written(grammar: Attacks, data: Path, rng: random.Random) -> Iterator[Found]:
    """Yield attacks that are said straight to the assistant."""
    for _ in range(DIRECT):
        text = grammar.direct()
        if rng.random() < 0.2:
            text = f"{rng.choice(grammar.prose)} {text}"
        yield disguise(text, rng, 0.12), 1, "attack_direct"
    yield from _jailbreaks(grammar, data, rng)
    for language in languages():
        own = language_grammar(language, rng)
        held = language in HELD_LANGUAGES
        for _ in range(EACH_LANGUAGE // 3 if held else EACH_LANGUAGE):
            text = capital(own.write("attack"))
            if rng.random() < 0.3:
                text = f"{capital(own.write('benign'))} {text}"
            yield text, 1, "valid_multilingual" if held else f"attack_{language}"


def _jailbreaks(grammar: Attacks, data: Path, rng: random.Random) -> Iterator[Found]:
    """Yield harmful requests in roles without rules, or with a tail of torn words."""
    names = ("advbench", "harmfulqa")
    deeds = [r["text"] for name in names for r in shared(data, f"train/harm/{name}.train")]
    kinds = ["roleplay", "roleplay", "suppress", "trait", "format"]
    for _ in range(JAILBREAKS):
        frame = " ".join(grammar.write(rng.choice(kinds)) for _ in range(rng.randint(1, 4)))
        parts = [finish(f"{grammar.write('roleplay')} {frame}"), rng.choice(deeds)]
        if rng.random() < 0.25:
            parts.reverse()
        yield rng.choice([" ", "\n", "\n\n"]).join(parts), 1, "attack_jailbreak"
    for deed in rng.sample(deeds, 400):
        yield f"{deed} {suffix(grammar, rng)}", 1, "attack_suffix"


def suffix(grammar: Attacks, rng: random.Random) -> str:
    """Return a row of torn words such as an optimiser finds."""
    bits = " ".join(rng.choice(grammar.prose) for _ in range(2)).split()
    rng.shuffle(bits)
    odd = ["](", ")!--", "==", "{\\", "++", "()}", "\\\\", "=>", "!!", "<<", "[[", "@{", "';"]
    torn = [
        bit[: rng.randint(2, 7)] + (rng.choice(odd) if rng.random() < 0.4 else "") for bit in bits
    ]
    return " ".join(torn[: rng.randint(8, 22)])


def twins(
    carrier: Callable[[str | None], str],
    put: tuple[str, str],
    rng: random.Random,
    source: str,
) -> Iterator[Found]:
    """Yield a document with an attack, with an innocent sentence, and as it is."""
    attack, innocent = put
    attacked = carrier(attack)
    if tokens(tidy(attacked)) > MOST_TOKENS or len(attacked) > MOST_CHARACTERS:
        return  # the attack might be cut off
    yield attacked, 1, source
    if rng.random() < 0.9:
        yield carrier(innocent), 0, source
    if rng.random() < 0.35:
        yield carrier(None), 0, source


def trained_names() -> list[str]:
    """Return the kinds of documents that are trained on, prose as often as five of them."""
    return [*carriers.TRAINED, *carriers_more.MORE, *CODE, *["prose"] * 5]


def around(
    grammar: Attacks, name: str, text: str, seed: int, *, wrapped: bool = False
) -> Callable[[str | None], str]:
    """Return what writes the same document around whatever it is given."""

    def write(put: str | None) -> str:
        desk = Desk(grammar.lines, random.Random(seed), grammar.prose)
        if name in ALL:
            shown = ALL[name](desk, put)
        elif name in CODE:
            shown = CODE[name](desk, put, cut(text, desk.rng.randint(30, 170)))
        else:
            shown = carriers.into_prose(desk, put, cut(text, desk.rng.randint(20, 190)))
        if wrapped and desk.rng.random() < 0.4:
            return desk.write("wrap").replace("DOCUMENT", shown)
        return _with_task(desk, shown)

    return write


def _with_task(desk: Desk, shown: str) -> str:
    draw, before, after = desk.rng.random(), desk.write("task_before"), desk.write("task_after")
    if draw < 0.24:
        return f"{before}\n\n{shown}"
    return f"{shown}\n\n{after}" if draw < 0.34 else shown


def embedded(grammar: Attacks, pool: list[Document], rng: random.Random) -> Iterator[Found]:
    """Yield documents with and without an attack."""
    code = [document.text for document in pool if document.collection == "python_code"]
    prose = [document.text for document in pool if document.collection != "python_code"]
    names = trained_names()
    for _ in range(EMBEDDED):
        name = rng.choice(names)
        attack = grammar.order(TALK.get(name, 0.4), code=name in CODE)
        text = rng.choice(code if name in CODE else prose)
        write = around(grammar, name, text, rng.randrange(2**32), wrapped=True)
        yield from twins(write, (attack, grammar.request()), rng, f"embedded_{name}")
    yield from _foreign(grammar, pool, rng)


def _foreign(grammar: Attacks, pool: list[Document], rng: random.Random) -> Iterator[Found]:
    """Yield documents in other languages, or with something in another language set in."""
    own = {name: language_grammar(name, rng) for name in languages() if name not in HELD_LANGUAGES}
    texts: dict[str, list[str]] = {}
    for document in pool:
        texts.setdefault(document.language, []).append(document.text)
    names = sorted({*own, *texts} - {""})
    for _ in range(FOREIGN):
        language = rng.choice(names)
        said = own.get(language)
        same = texts.get(language, texts.get("", [""]))
        attack = grammar.order(0.5, code=False)
        if said and rng.random() < 0.7:
            attack = capital(said.write("embedded" if rng.random() < 0.7 else "attack"))
        innocent = cut(rng.choice(same), 30)
        if said and rng.random() < 0.6:
            innocent = capital(said.write("insert"))
        name = rng.choice(["prose", "prose", "prose", "email", "grid", "notes", "search", "html"])
        write = around(grammar, name, rng.choice(same), rng.randrange(2**32), wrapped=True)
        yield from twins(write, (attack, innocent), rng, "embedded_foreign")


def held_out(
    grammar: Attacks, pool: list[Document], strange: list[str], rng: random.Random
) -> Iterator[Found]:
    """Yield documents of kinds that are not trained on, with orders that others wrote."""
    for _ in range(HELD_EMBEDDED):
        name = rng.choice([*carriers_held.HELD, "prose", "prose"])
        attack = re.sub(r"^Question: ", "", rng.choice(strange))
        write = around(grammar, name, rng.choice(pool).text, rng.randrange(2**32))
        yield from twins(write, (attack, grammar.innocent()), rng, "valid_embedded")
    for _ in range(HELD_EMBEDDED):
        name = rng.choice([*carriers.HELD_OUT_TOOLS])
        write = around(grammar, name, "", rng.randrange(2**32))
        put = (grammar.indirect(0.9), grammar.innocent())
        yield from twins(write, put, rng, "valid_tool_results")
