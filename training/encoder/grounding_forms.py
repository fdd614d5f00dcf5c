"""Other ways to say the same: rules that leave what a sentence states as it was, or say less.

Each rule takes a sentence and returns it changed, or as it was. The rules are drawn once for a
sentence and its edited twin, so that form says nothing about truth.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import grounding_lexicon as w

_MONTH = "|".join(w.MONTHS)
_MONTH_SHORT = {m[:3]: m for m in w.MONTHS if m != "May"}


def drop_brackets(text: str) -> str:
    """Leave out what stands in round brackets."""
    return re.sub(r"\s*\([^()]{2,60}\)", "", text, count=2)


def drop_relative(text: str) -> str:
    """Leave out a clause between commas that begins with which, who or where."""
    return re.sub(r", (?:which|who|where|whose) [^,;]{8,90},(?= \w)", "", text, count=1)


def drop_tail(text: str) -> str:
    """Leave out a last clause that only adds to the sentence."""
    match = re.search(
        r", (?:which|who|where|including|as well as|along with|\w{3,}ing) [^,;]{8,120}(?=[.!]$)",
        text,
    )
    if match and len(text[: match.start()].split()) > 6:
        return text[: match.start()] + text[match.end() :]
    return text


def first_half(text: str) -> str:
    """Keep what stands before a semicolon, or before 'and' or 'but' with its own subject."""
    match = re.search(r";|, (?:and|but|while|whereas) (?=(?:he|she|it|they|the|there|we|I) )", text)
    if match and len(text[: match.start()].split()) > 6:
        return text[: match.start()] + "."
    return text


def front_to_end(text: str) -> str:
    """'In 1990, A did B.' as 'A did B in 1990'."""
    match = re.fullmatch(
        r"((?:In|On|During|Since|After|Before|By|At|Throughout) [^,]{3,40}), (.{20,})\.", text
    )
    if not match:
        return text
    lead, rest = match.groups()
    if (
        re.match(r"(and|but|when|which|who|where)\b", rest)
        or "," in rest[-40:]
        or rest[-1] in "\"'”)"
    ):
        return text
    return f"{rest[0].upper()}{rest[1:]} {lead[0].lower()}{lead[1:]}."


def end_to_front(text: str) -> str:
    """'A did B in 1990.' as 'In 1990, A did B'."""
    match = re.fullmatch(
        r"([A-Z].{20,}?) ((?:in|on|during|since) "
        rf"(?:(?:{_MONTH}|early|late|the) ?[\w, ]{{0,12}})?\d{{4}}s?)\.",
        text,
    )
    if not match or re.search(
        r"[:;\"”(]| (between|from|and) ", match.group(1)[-40:] + match.group(2)
    ):
        return text
    rest, tail = match.groups()
    rest = (
        rest[0].lower() + rest[1:]
        if re.match(r"(The|A|An|He|She|It|They|His|Her|This) ", rest)
        else rest
    )
    return f"{tail[0].upper()}{tail[1:]}, {rest}."


def passive_to_active(text: str) -> str:
    """'B was founded by A.' as 'A founded B'."""
    verbs = "|".join(sorted(w.TRANSITIVE))
    match = re.fullmatch(
        rf"((?:The |A )?[A-Z][^,;:]{{2,60}}?) (?:was|were) ({verbs}) by ((?:the )?"
        r"[A-Z][\w.'’ -]{2,50}?)( (?:in|on|at|during) [^,;]+)?\.",
        text,
    )
    if not match:
        return text
    what, verb, who, tail = match.groups()
    if re.search(r" (is|was|were|who|which|that|and|in|on) ", f" {what} {who} "):
        return text
    what = what[0].lower() + what[1:] if re.match(r"(The|A) ", what) else what
    return f"{who[0].upper()}{who[1:]} {verb} {what}{tail or ''}."


def active_to_passive(text: str) -> str:
    """'A founded B.' as 'B was founded by A'."""
    verbs = "|".join(sorted(w.TRANSITIVE - {"played", "led", "developed", "joined", "succeeded"}))
    match = re.fullmatch(
        rf"([A-Z][\w.'’-]+(?: [A-Z][\w.'’-]+){{0,3}}) ({verbs}) "
        r"((?:[A-Z]|the )[\w.'’ -]{2,50}?)( (?:in|on|during) [^,;]+)?\.",
        text,
    )
    if not match or re.match(r"(He|She|It|They|We|I|This|That|Who)$", match.group(1)):
        return text
    who, verb, what, tail = match.groups()
    if re.search(r" (is|was|were|who|which|that|and|in|on|to|as|with|from|by|for) ", f" {what} "):
        return text
    return f"{what[0].upper()}{what[1:]} was {verb} by {who}{tail or ''}."


def number_words(text: str) -> str:
    """Small numbers from words to digits, or from digits to words."""
    words = "|".join(w.NUMBER_WORDS[2:])
    if re.search(rf"\b({words})\b", text):
        return re.sub(
            rf"\b({words})\b(?= [a-z])", lambda m: str(w.NUMBER_WORDS.index(m.group())), text
        )
    return re.sub(
        rf"(?<![\d.,$£€/-])\b([2-9]|1[0-9]|20)\b"
        rf"(?= (?!{_MONTH}|million|billion|percent|per)[a-z]{{3,}})",
        lambda m: w.NUMBER_WORDS[int(m.group())], text,
    )  # fmt: skip


def big_numbers(text: str) -> str:
    """'2,000,000' as '2 million', '5 percent' as '5%', '$5 million' as '5 million dollars'."""
    text = re.sub(
        r"\b(\d{1,3}),([05])00,000\b",
        lambda m: f"{m.group(1)}{'.5' if m.group(2) == '5' else ''} million",
        text,
    )
    if "%" in text:
        text = re.sub(r"(\d)%", r"\1 percent", text)
    else:
        text = re.sub(r"(\d) (?:percent|per cent)\b", r"\1%", text)
    return re.sub(
        r"(?<!\w)\$(\d+(?:\.\d+)?) (million|billion)"
        r"(?![\w-]| (?:dollar|loan|deal|contract|grant|project))",
        r"\1 \2 dollars",
        text,
    )


def thousands(text: str) -> str:
    """'12,000' as '12000' or as '12 thousand'."""
    text = re.sub(r"\b([2-9]|[1-9]\d),000\b(?! (?:million|square))", r"\1 thousand", text)
    return re.sub(r"\b(\d{1,3}),(\d{3})\b(?![,.]\d)", r"\1\2", text)


def dates(text: str) -> str:
    """'July 11, 1909' as '11 July 1909', and the other way round; 'Dec. 20' as 'December 20'."""
    text = re.sub(
        r"\b(" + "|".join(_MONTH_SHORT) + r")\.? (?=\d)",
        lambda m: _MONTH_SHORT[m.group(1)] + " ",
        text,
    )
    turned = re.sub(rf"\b({_MONTH}) (\d{{1,2}}), (\d{{4}})\b,?", r"\2 \1 \3", text)
    if turned != text:
        return turned
    return re.sub(rf"\b(\d{{1,2}}) ({_MONTH}) (\d{{4}})\b", r"\2 \1, \3", text)


_ASIDE = re.compile(
    r"^([A-Z][^,]{2,50}), (?:an?|the|who|which) [^,]{3,90}, "
    r"(?=(?:is|was|has|had|were|are|will|\w+ed)\b)"
)
_LEAD = re.compile(
    r"^(?:In|On|During|Since|After|By|At|For|With|However|Also|Additionally|Then|Today|Currently|Later"
    r"|Meanwhile|Finally|Moreover|[A-Z]\w+ly)\b[^,]{0,60}, (?=[A-Za-z\x02])"
)
_CUT = re.compile(
    r",? (?:which|who|where|whose|while|but|whereas|although|though|because|after|when|since)\b|;"
    r"|, (?:and|with|including|\w{3,}ing|as well as|as|so|or|making|an?|the)\b|,? and (?:he|she|it"
    r"|they|is|was|has|had|were|are|the)\b"
)
_GUARDED = re.compile(r"\b(not|never|no|if|unless|until|none|neither|only|without|than)\b|n['’]t\b")


def core(text: str, keep: str = "") -> str:
    """Return the main clause alone, with `keep` in it: 'In May, A, a B, won, so D' as 'A won'."""
    if not _GUARDED.search(text):
        lead = _LEAD.match(text)
        if lead and (not keep or keep not in lead.group()) and "," not in text[lead.end() :][:12]:
            text = text[lead.end()].upper() + text[lead.end() + 1 :]
        aside = _ASIDE.match(text)
        if aside and (not keep or keep not in aside.group()):
            text = f"{aside.group(1)} {text[aside.end() :]}"
        for cut in _CUT.finditer(text):
            head = text[: cut.start()]
            whole = head.count('"') % 2 == 0 and head.count("(") == head.count(")")
            listed = re.search(r", (?:[\w\x02]+ ){0,2}[\w\x02]+$", head)
            if whole and not listed and keep in head and len(head.split()) > 4:
                return head + "."
    return text


_SHORT = (
    ("did not", "didn't"), ("was not", "wasn't"), ("were not", "weren't"), ("is not", "isn't"),
    ("are not", "aren't"), ("does not", "doesn't"), ("do not", "don't"), ("has not", "hasn't"),
    ("have not", "haven't"), ("will not", "won't"), ("would not", "wouldn't"),
    ("could not", "couldn't"), ("should not", "shouldn't"), ("cannot", "can't"),
    ("had not", "hadn't"),
)  # fmt: skip


def contraction(text: str) -> str:
    """'did not' as 'didn't', and the other way round."""
    for long, short in _SHORT:
        if re.search(rf"\b{long}\b", text):
            return re.sub(rf"\b{long}\b", short, text)
        if short in text:
            return text.replace(short, long)
    return text


RULES: tuple[tuple[Callable[[str], str], float], ...] = (
    (drop_brackets, 0.5), (drop_relative, 0.5), (drop_tail, 0.3), (first_half, 0.35),
    (passive_to_active, 0.7), (active_to_passive, 0.6), (front_to_end, 0.5), (end_to_front, 0.4),
    (dates, 0.5), (number_words, 0.4), (big_numbers, 0.4), (thousands, 0.15), (contraction, 0.3),
)  # fmt: skip


def rephrased(text: str, seed: int, strength: float = 1.0) -> str:
    """Say it in another way: the same seed draws the same rules for a sentence and its twin."""
    rng = random.Random(seed)
    drawn = [rule for rule, chance in RULES if rng.random() < chance * strength]
    swap, share = rng.random() < 0.7 * strength, rng.uniform(0.3, 1.0)
    frame = rng.choice(w.FRAMES) if rng.random() < 0.07 else "{}"
    for rule in drawn:
        text = rule(text)
    if swap:
        text = _swapped(text, seed, share)
    if frame != "{}" and (text.split() or [""])[0] in w.NO_NAMES:
        text = text[0].lower() + text[1:] if not text.startswith("I ") else text
    if text.startswith(("however", "but ", "and ", "also", "yes", "no,")):
        return text[0].upper() + text[1:]
    return frame.format(text) if "{" not in text and "}" not in text else text


_SAMES = w.any_of(w.SAME)


def _swapped(text: str, seed: int, share: float) -> str:
    """Swap synonyms; which ones depends on the word and the seed, not on what stands around."""

    def swap(match: re.Match[str]) -> str:
        for new, after in w.SAME[match.group()]:
            chance = random.Random(f"{seed} {match.group()} {new}").random()
            if chance < share and re.match(after, text[match.end() :]):
                return new
        return match.group()

    return re.sub(r"\ba (?=[aeio]\w)(?!one|once)", "an ", _SAMES.sub(swap, text))


def reworded(text: str, seed: int) -> str:
    """Say all of it in other words: what a source may say for a claim that follows from it."""
    rng = random.Random(seed)
    for rule in (
        passive_to_active,
        active_to_passive,
        front_to_end,
        dates,
        number_words,
        big_numbers,
        contraction,
    ):
        if rng.random() < 0.7:
            text = rule(text)
    return _swapped(text, seed, 1.0)
