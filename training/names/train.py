"""Trains the names model and writes it with its card; the same input gives the same bytes.

    .venv/bin/python training/names/train.py --data DATA [--out src/keelmark/guard/models]

An averaged perceptron with a margin, one weight per feature and lane, in whole numbers only: no
rounding differs between machines.
"""

from __future__ import annotations

import argparse
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

import card
import corpora
from text import Marked

from keelmark.guard import _name_words as words
from keelmark.guard import _names as names
from keelmark.guard import _names_file as file
from keelmark.guard.normalise import fold

EPOCHS = 7
MARGIN = 40
HIDDEN = 0.12  # how often the word itself is hidden, so that its surroundings must do
SCALE = 25  # units of the margin that multiply the odds by e, chosen on the held-out texts
SIZE = 1 << file.BITS

Sample = tuple["array[int]", int]


def everyday(texts: list[Marked], prose: Iterable[str]) -> tuple[frozenset[int], frozenset[int]]:
    """Hashes of words that are no names in small letters, and of those that never are."""
    small, capital, inside, outside = (Counter[str]() for _ in range(4))
    for text in prose:
        for token in words.tokens(text):
            (small if token.text.islower() else capital)[token.text.lower()] += 1
    for marked in texts:
        if marked.source.startswith("own-"):
            continue  # there, names are as frequent as we made them
        taken = [span for span in marked.spans if span[2] != "OTHER"]
        for token in words.tokens(marked.text):
            held = any(a <= token.start < b for a, b, _ in taken)
            if token.text[0].isupper():
                (inside if held else outside)[token.text.lower()] += 1
            elif not held and token.text.isalpha():
                small[token.text] += 1
    kinds = words.kinds()
    naming = bits("given", "city", "region")
    common = set()
    for word, count in small.items():
        known = kinds.get(words.hashed(word), 0)
        share = 4 if known & naming else 1
        enough = 200 if known & bits("unit") else 3
        if count >= max(enough, share * (capital[word] + inside[word])):
            common.add(words.hashed(word))
    dull = {
        words.hashed(word)
        for word, count in outside.items()
        if count >= 4 and 100 * inside[word] <= count
    }
    return frozenset(common), frozenset(k for k in dull & common if not kinds.get(k))


def bits(*kinds: str) -> int:
    """The bits of kinds of the lexicon."""
    return sum(1 << words.LEXICON.index(kind) for kind in kinds)


def prose(folder: Path) -> Iterator[str]:
    """Yield the texts without marks that are in a language the model knows, or in several."""
    for name in corpora.PROSE:
        for row in corpora.rows(folder / f"{name}.jsonl.gz"):
            if str(row.get("lang", "en"))[:2] in {"en", "de", "fr", "es", "it", "nl", "mu"}:
                yield fold(str(row.get("text", "")))


def samples(texts: Iterable[Marked], knows: file.Model, random: Random) -> list[Sample]:
    """What the model learns from: the features of each word that may be a name, and its kind."""
    out: list[Sample] = []
    seen: dict[str, words.Word] = {}
    for text in texts:
        tokens = list(words.tokens(text.text))
        for token in tokens:
            if token.text not in seen:
                seen[token.text] = words.describe(token.text, knows.common, knows.never)
        row = words.row(text.text, 0, [seen[token.text] for token in tokens])
        for index in row.judged():
            around = row.around(index)
            sits = words.sits(around, row.borders(index))
            if not words.may_be_name(around, sits):
                continue
            if random.random() < HIDDEN:
                hidden = replace(around[3], key=words.hashed("?"))
                around = (*around[:3], hidden, *around[4:])
            start = row.start(index)
            label = next((k for a, b, k in text.spans if a <= start < b), "")
            out.append((array("I", names.features(around, sits)), file.LABELS.index(label)))
    return out


def learn(data: list[Sample], random: Random) -> list[list[int]]:
    """Return the averaged weights of each lane, times the number of steps."""
    lanes = [[0] * SIZE for _ in file.LABELS]
    totals = [[0] * SIZE for _ in file.LABELS]
    step = 1
    order = list(range(len(data)))
    for epoch in range(EPOCHS):
        random.shuffle(order)
        wrong = 0
        for number in order:
            places, gold = data[number]
            take = itemgetter(*places)
            sums = [sum(take(lane)) for lane in lanes]
            aim = sums[gold] - MARGIN
            sums[gold] = aim - 1
            rival = max(range(len(sums)), key=sums.__getitem__)
            if sums[rival] > aim:
                wrong += 1
                up, down, more, less = lanes[gold], lanes[rival], totals[gold], totals[rival]
                for place in places:
                    up[place] += 1
                    down[place] -= 1
                    more[place] += step
                    less[place] -= step
            step += 1
        print(f"epoch {epoch}: {wrong} of {len(data)} within the margin", flush=True)
    return [
        [w * step - t for w, t in zip(lane, total, strict=True)]
        for lane, total in zip(lanes, totals, strict=True)
    ]


def small_weights(lanes: list[list[int]]) -> tuple[int, list[bytes]]:
    """Round the weights to one byte each; return the unit, and the lanes."""
    sizes = sorted(abs(w) for lane in lanes for w in lane if w)
    unit = max(1, sizes[int(len(sizes) * 0.999)] // 127)
    rounded = [
        bytes(128 + max(-127, min(127, (2 * w + unit) // (2 * unit))) for w in lane)
        for lane in lanes
    ]
    return unit, rounded


def trained(folder: Path) -> tuple[file.Model, list[Marked]]:
    """Return the model, and the texts that were held out."""
    train, valid = corpora.divided(folder)
    common, never = everyday(train, prose(folder))
    empty = file.Model(1, common, never, ())
    random = Random(corpora.SEED)
    data = samples(train, empty, random)
    unit, lanes = small_weights(learn(data, random))
    steps = EPOCHS * len(data)
    scale = max(1, SCALE * steps // unit)
    return empty._replace(scale=scale, lanes=tuple(lanes)), valid


def main() -> None:
    """Train, measure, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, required=True, help="folder that holds pii/ ...")
    arguments.add_argument("--out", type=Path, default=Path("src/keelmark/guard/models"))
    given = arguments.parse_args()
    model, valid = trained(given.data)
    data = file.pack(model)
    given.out.mkdir(exist_ok=True)
    (given.out / "names.bin").write_bytes(data)
    file.model.cache_clear()
    words.word.cache_clear()
    names.judge.cache_clear()
    text = card.written(data, given.data, valid)
    (given.out / "names.toml").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
