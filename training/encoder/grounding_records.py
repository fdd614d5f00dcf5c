"""Claims about records: what a tool returns as JSON, and sentences that an answer makes of it.

The passage is what the guard reads of a record (`keelmark.guard._records`), found by its own index.
A claim is drawn true or false of a value first, then put into words; in a list of records the false
value is often another one's.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from grounding_facts import PARTS, person, place
from rows import Row

from keelmark.guard._claims import telling
from keelmark.guard._sources import Index, Source

_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
HELD_OUT = frozenset({"museum", "shipment"})
SUPPORTED, CONTRADICTED, UNSUPPORTED = range(3)
WIDTH = 900  # code points of a passage, as the guard's own
LONGEST = 190  # words and marks of claim and passage
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_GONE = (None, None, "absent")


class Said(NamedTuple):
    """A verb phrase on a record, and what is so of it; `about` is the field, if it is of one."""

    text: str
    label: int
    about: str = ""


class Record(NamedTuple):
    """A record: its fields as they are returned, and phrases on them."""

    value: dict[str, Any]
    title: str
    said: list[Said]


def _forms(text: str) -> list[str]:
    return text.split(" | ")


def _title(topic: dict[str, Any], rng: random.Random) -> str:
    parts = {
        "{place}": lambda: place(rng), "{person}": lambda: person(rng),
        "{thing}": lambda: rng.choice(PARTS["things"]),
        "{family}": lambda: rng.choice(PARTS["family"]),
        "{syllable}": lambda: "".join(rng.choices(PARTS["syllables"], k=2)).title(),
        "{code}": lambda: "".join(rng.choice("ABCDEFKLMSTUX") for _ in range(2)),
        "{number}": lambda: str(rng.randint(2, 9999 if rng.random() < 0.5 else 60)),
    }  # fmt: skip
    form = rng.choice(_forms(topic["titles"]))
    for slot, make in parts.items():
        if slot in form:
            form = form.replace(slot, make())
    return form


def _set(value: dict[str, Any], key: str, what: Any) -> None:
    group, _, own = key.rpartition(".")
    (value.setdefault(group, {}) if group else value)[own] = what


def _bool(line: str, value: dict[str, Any], rng: random.Random) -> Iterator[Said]:
    key, _, phrases = line.partition(" = ")
    yes, no = (_forms(side) for side in phrases.split(" / "))
    what = rng.choice((True, True, False, False, *_GONE[: rng.randint(0, 3)]))
    if what != "absent":
        _set(value, key, what if rng.random() < 0.85 or what is None else ("yes" if what else "no"))
    for side, phrase in ((True, rng.choice(yes)), (False, rng.choice(no))):
        known = isinstance(what, bool)
        label = UNSUPPORTED if not known else SUPPORTED if what is side else CONTRADICTED
        if known or side or rng.random() < 0.3:
            yield Said(phrase, label, key)


def _spec(line: str) -> tuple[str, list[str], list[str]]:
    found = re.fullmatch(r"(\S+) \((.+?)\) = (.+)", line)
    if found is None:
        raise SystemExit(f"grounding_records.toml: {line!r} is no field.")
    return found[1], found[2].split(", "), _forms(found[3])


def _choice(line: str, value: dict[str, Any], rng: random.Random) -> Iterator[Said]:
    key, values, forms = _spec(line)
    what = rng.choice((*values, *_GONE[: rng.randint(0, 2)]))
    _set(value, key, what)
    for one in {what, rng.choice(values)} - {None}:
        label = UNSUPPORTED if what is None else SUPPORTED if one == what else CONTRADICTED
        yield Said(rng.choice(forms).format(v=one.replace("_", " ")), label, key)


def _number(line: str, value: dict[str, Any], rng: random.Random) -> Iterator[Said]:
    key, (low, high, step), forms = _spec(line)
    count = int((float(high) - float(low)) / float(step))

    def drawn() -> float:
        number = round(float(low) + rng.randint(0, count) * float(step), 2)
        return int(number) if number == int(number) and "." not in step else number

    what, other = drawn(), drawn()
    if rng.random() < 0.12:
        yield Said(rng.choice(forms).format(v=f"{other:g}"), UNSUPPORTED, key)
        return
    _set(value, key, what)
    yield Said(rng.choice(forms).format(v=f"{what:g}"), SUPPORTED, key)
    if other != what:
        yield Said(rng.choice(forms).format(v=f"{other:g}"), CONTRADICTED, key)


def _list(line: str, value: dict[str, Any], rng: random.Random) -> Iterator[Said]:
    key, values, forms = _spec(line)
    has = rng.sample(values, rng.randint(1, min(4, len(values) - 1)))
    _set(value, key, ", ".join(has) if rng.random() < 0.5 else has)
    others = [one for one in values if one not in has]
    yield Said(rng.choice(forms).format(v=rng.choice(has)), SUPPORTED)
    if len(has) > 1:
        yield Said(rng.choice(forms).format(v=" and ".join(rng.sample(has, 2))), SUPPORTED)
    yield Said(rng.choice(forms).format(v=rng.choice(others)), UNSUPPORTED, key)
    both = f"{rng.choice(has)} and {rng.choice(others)}"
    yield Said(rng.choice(forms).format(v=both), UNSUPPORTED)


def _clock(minutes: int, rng: random.Random) -> str:
    hour, minute = divmod(minutes, 60)
    if rng.random() < 0.15:
        return f"{hour:02}:{minute:02}"
    if minutes == 720 and rng.random() < 0.5:
        return "noon"
    half = rng.choice(("AM PM", "am pm", "a.m. p.m.")).split()[hour >= 12]
    return f"{(hour + 11) % 12 + 1}{f':{minute:02}' if minute else ''} {half}"


def _hours(value: dict[str, Any], rng: random.Random) -> Iterator[Said]:
    opens, closes = (
        rng.choice((420, 480, 540, 600, 630, 660, 690, 720)),
        rng.choice((1020, 1080, 1200, 1260, 1290, 1320, 1380)),
    )
    late = closes + rng.choice((0, 30, 30, 60))
    days = _DAYS[: rng.choice((5, 6, 7, 7))]
    times = {day: (opens, late if day in _DAYS[4:6] else closes) for day in days}
    plain = rng.random() < 0.5
    value["hours"] = {
        day: "-".join(f"{m // 60}:{m % 60}" if plain else f"{m // 60:02}:{m % 60:02}" for m in span)
        for day, span in times.items()
    }
    weekdays = rng.choice(
        (
            "from Monday to Thursday",
            "Monday through Thursday",
            "on Mondays",
            "from Tuesday to Thursday",
            "on Wednesday",
        )
    )
    for wrong in (False, True):
        a, b = (
            (opens, closes) if not wrong
            else rng.choice(((opens + 60, closes), (opens, closes + 60), (opens - 60, closes - 60)))
        )  # fmt: skip
        first, last = _clock(a, rng), _clock(b, rng)
        said = rng.choice(
            (
                f"is open {weekdays} from {first} to {last}",
                f"opens at {first} and closes at {last} {weekdays}",
                f"is open from {first} until {last} {weekdays}",
            )
        )
        yield Said(said, CONTRADICTED if wrong else SUPPORTED)
    far = _clock(late + (60 if (off := rng.random() < 0.5) else 0), rng)
    yield Said(
        rng.choice(
            (
                f"closes at {far} on Fridays",
                f"stays open until {far} on Friday",
                f"is open until {far} on Fridays",
            )
        ),
        CONTRADICTED if off else SUPPORTED,
    )
    week = rng.choice(
        (
            "is open every day of the week",
            "is open seven days a week",
            "opens daily",
            "is open all week",
        )
    )
    yield Said(week, SUPPORTED if len(days) == 7 else CONTRADICTED)
    if len(days) < 7:
        yield Said(rng.choice(("is open on Sundays", "opens on Sunday")), CONTRADICTED)


def _reviews(topic: dict[str, Any], value: dict[str, Any], rng: random.Random) -> Iterator[Said]:
    aspects = [re.fullmatch(r"(.+?): (.+) / (.+)", one) for one in topic["aspects"]]
    chosen = rng.sample(aspects, rng.randint(2, min(4, len(aspects))))
    texts = []
    for one in chosen:
        good, text = rng.random() < 0.5, one
        told = _TABLES["told_good" if good else "told_bad"]
        yield from _opinion(text, rng, good=good)
        lines = [_filled(rng.choice(_forms(told)), text, rng)]
        lines += [rng.choice(_forms(_TABLES["talk"])) for _ in range(rng.randint(0, 2))]
        rng.shuffle(lines)
        texts.append((good, " ".join(line[0].upper() + line[1:] for line in lines)))
    value["review_info"] = [
        {
            "review_stars": float(rng.randint(4, 5) if good else rng.randint(1, 2)),
            "review_date": f"{_day(rng)} 18:2{rng.randint(0, 9)}:11",
            "review_text": text,
        }
        for good, text in texts
    ]
    left = [one for one in aspects if one not in chosen]
    if left:
        form = rng.choice(_forms(_TABLES[rng.choice(("praise", "blame"))]))
        yield Said(_filled(form, rng.choice(left), rng), UNSUPPORTED)


def _day(rng: random.Random) -> str:
    return f"20{rng.randint(15, 22)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _opinion(aspect: Any, rng: random.Random, *, good: bool) -> Iterator[Said]:
    for side in (True, False):
        form = rng.choice(_forms(_TABLES["praise" if side else "blame"]))
        yield Said(_filled(form, aspect, rng), SUPPORTED if side is good else CONTRADICTED)


def _filled(form: str, aspect: Any, rng: random.Random) -> str:
    good, bad = (rng.choice(aspect[n].split(", ")) for n in (2, 3))
    was = "were" if aspect[1].endswith("s") else "was"
    who = rng.choice(_forms(_TABLES["reviewers"]))
    return form.format(who=who, a=aspect[1], was=was, good=good, bad=bad)


def _location(value: dict[str, Any], rng: random.Random) -> Iterator[Said]:
    for label, city in ((SUPPORTED, value["city"]), (CONTRADICTED, place(rng))):
        where = rng.choice(("", f"at {value['address']} "))
        yield Said(f"is {rng.choice(('', 'located '))}{where}in {city}", label, "city")


def record(topic: dict[str, Any], rng: random.Random) -> Record:
    """Make a record of a topic, and phrases on it; those on reviews begin with a capital."""
    title, said = _title(topic, rng), list[Said]()
    value: dict[str, Any] = {"name": title}
    if topic.get("hours"):
        value |= {
            "address": f"{rng.randint(1, 999)} {rng.choice(PARTS['things'])} Street",
            "city": place(rng),
            "state": rng.choice(("CA", "TX", "NV", "FL", "PA", "TN")),
        }
        said += _location(value, rng)
    for kind, make, most in (
        ("bools", _bool, 9),
        ("choices", _choice, 4),
        ("numbers", _number, 4),
        ("lists", _list, 2),
    ):
        for line in rng.sample(topic[kind], min(len(topic[kind]), rng.randint(min(2, most), most))):
            said += make(line, value, rng)
    if topic.get("hours"):
        said += _hours(value, rng)
    if topic["aspects"] and rng.random() < 0.7:
        said += _reviews(topic, value, rng)
    return Record(value, title, said)


def _written(value: Any, rng: random.Random) -> str:
    style = rng.random()
    if style < 0.35:
        return repr(value)
    return json.dumps(value, indent=2 if style < 0.6 else None, ensure_ascii=False)


def _shuffled(value: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The same record with its fields in another order, some of them under `attributes`."""
    keys = [*value]
    if rng.random() < 0.5:
        rng.shuffle(keys)
    snake = rng.random() < 0.3
    out: dict[str, Any] = {}
    inner: dict[str, Any] = out if rng.random() < 0.5 else {}
    for key in keys:
        own = re.sub(r"(?<=[A-Za-z][a-z]{2})(?=[A-Z])", "_", key).lower() if snake else key
        deep = isinstance(value[key], (bool, str)) and key not in {
            "name",
            "address",
            "city",
            "state",
        }
        (inner if deep else out)[own] = value[key]
    return out | ({"attributes": inner} if inner is not out and inner else {})


def _claim(subjects: list[str], parts: list[Said], rng: random.Random) -> Row:
    """Say one phrase, or a few in one sentence, as a claim; its spans are what is not so."""
    alone = [one for one in parts if one.text[0].isupper()]
    pieces, text = (alone[:1], "") if alone else (parts, rng.choice(subjects) + " ")
    spans = []
    for number, one in enumerate(pieces):
        text += (" and " if number == len(pieces) - 1 else ", ") if number else ""
        if one.label:
            spans.append((len(text), len(text) + len(one.text)))
        text += one.text
    label = min((one.label for one in pieces if one.label), default=SUPPORTED)
    return Row(text + ".", {"grounding": label}, "records", spans=tuple(spans))


def records(count: int, seed: int) -> Iterator[Row]:
    """Yield claims about made-up records; of some topics for validation."""
    rng = random.Random(f"records {seed}")
    for number in range(count):
        topic = _TABLES["topics"][number % len(_TABLES["topics"])]
        held = topic["name"] in HELD_OUT
        made = [record(topic, rng) for _ in range(1 if rng.random() < 0.8 else rng.randint(2, 4))]
        values: list[Any] = [_shuffled(one.value, rng) for one in made]
        source = _written(values[0] if len(made) == 1 else values, rng)
        index, one = Index([Source("", source)]), rng.choice(made)
        subjects = [one.title]
        if len(made) == 1:
            noun = rng.choice(_forms(topic["nouns"]))
            subjects += [one.title, f"The {noun}", f"The {noun}", f"This {noun}", "It"]
        for _ in range(3):
            row = _claim(subjects, _drawn(one.said, rng), rng)
            keys = frozenset(word.key for word in telling(row.text))
            found = index.best(keys, 3) or index.figured(row.text, 3)
            if not found:
                continue
            passage = index.passage([each.place for each in found], WIDTH).strip()
            cut_off = len(re.findall(r"\w+|[^\w\s]", row.text + passage)) > LONGEST
            if cut_off or (len(made) > 1 and one.title not in passage):
                continue  # it may no longer say what the claim rests on
            kind, split = ("valid_records", "valid") if held else ("records", "train")
            yield Row(row.text, row.y, f"{kind}/{topic['name']}", passage, split, 1.0, row.spans)


def _drawn(said: list[Said], rng: random.Random) -> list[Said]:
    """One phrase or a few; a claim is true as often as not."""
    so = rng.random() < 0.5
    right = [one for one in said if one.label == SUPPORTED]
    wrong = [one for one in said if one.label != SUPPORTED]
    count = rng.choices((1, 2, 3), (60, 30, 10))[0]
    if so:
        return rng.sample(right, min(count, len(right)))
    parts = [rng.choice(wrong)]
    same = [one for one in right if one.text[0].islower() and one.about != parts[0].about]
    if parts[0].text[0].islower():
        parts += rng.sample(same, min(count - 1, len(same)))
    rng.shuffle(parts)
    return parts
