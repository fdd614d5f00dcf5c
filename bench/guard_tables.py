"""The guard's figures as tables: for the README, for docs/reference, and for each detector."""

from __future__ import annotations

from collections.abc import Iterator

NAMES = {
    "Keelmark": "**Keelmark**, no model",
    "Keelmark, names by rule": "**Keelmark**, with `names` by rule",
    "Keelmark + names": "**Keelmark**, with `names`",
    "presidio": "Presidio 2.2.366, as it comes",
    "presidio-every": "Presidio, with all that it has for English",
    "default guard": "**Keelmark**, the whole default guard",
    "default guard + names": "**Keelmark**, the whole default guard and `names`",
    "Keelmark, balanced": "**Keelmark**, `balanced` (0.5)",
    "Keelmark, precise": "**Keelmark**, `precise` (0.7)",
    "aicordon": "aicordon 1.4.0 (Picket)",
    "plumblint": "plumblint 0.1.2",
    "plumblint, strict": "plumblint 0.1.2, strict",
    "injection_classifier": "**Keelmark**, `injection_classifier`",
    "harm_classifier": "**Keelmark**, `harm_classifier`",
    "policy full": "**Keelmark**, policy `full`",
    "metatronnanoguard": "metatronnanoguard 0.1.0",
    "prompt-guardrail": "prompt-guardrail 1.0.1",
    "alt-profanity-check": "alt-profanity-check 1.9.1",
}
HEADINGS = {
    "held-out sentences": "Held-out sentences",
    "own, English": "Our own texts, English",
    "own, other": "Our own texts, other languages",
}
SETS = {
    "held-out sentences": "sentences of presidio-research's generator, from templates that no "
    "model of ours has learnt from; the rest of that file was at hand while the guard "
    "was written",
    "own, English": "our own letters, chats, tickets, forms, records and code in English",
    "own, other": "the like in German, French, Spanish, Italian, Dutch, Portuguese, Polish and "
    "Swedish; Presidio has only its English model here",
}


def share(pair: list[int]) -> str:
    return f"{pair[0]} of {pair[1]}"


def percent(pair: list[int], interval: list[float] | None = None) -> str:
    text = f"{100 * pair[0] / pair[1]:.1f} %"
    if interval:
        text += f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
    return text


def _times(row: dict, size: str) -> str:
    return f"{row[size]['p50_ms']:.2f} / {row[size]['p99_ms']:.1f} ms"


def _best(rows: dict, key: str) -> float:
    return max(row[key] for name, row in rows.items() if name.startswith("presidio"))


def summary(figures: dict) -> Iterator[str]:
    """The README's table."""
    personal = figures["guard_peers"]["personal"]
    quality, alarms, speed = (personal[k] for k in ("quality", "false_alarms", "speed"))
    own, held = quality["own, English, all kinds"], quality["held-out sentences, all kinds"]
    form = quality["own, English, without names"]
    yield "The guard, beside what else runs offline:\n\n| | Keelmark | others |\n|---|---|---|\n"
    for what, rows, ours in (
        ("held-out sentences", held, "Keelmark + names"),
        ("our own texts", own, "Keelmark + names"),
        ("our own texts, names by rule, no model", own, "Keelmark, names by rule"),
        ("our own texts, names left out, no model", form, "Keelmark"),
    ):
        if ours not in rows:
            continue
        yield f"| personal data, F2: {what} | {rows[ours]['f2']:.2f} "
        yield f"| Presidio {_best(rows, 'f2'):.2f} |\n"
    count = personal["look_alikes"]
    yield f"| false alarms on {count} look-alikes, no model | {alarms['Keelmark']['texts']} "
    yield f"| Presidio {alarms['presidio']['texts']} |\n"
    for size in ("150", "1500"):
        ours, theirs = (speed[name][size]["p50_ms"] for name in ("default guard", "presidio"))
        yield f"| {int(size):,} characters: the whole default guard | {ours:.2f} ms "
        yield f"| Presidio {theirs:.0f} ms |\n"
    rows = figures["guard_peers"]["injection"]["rows"]
    ours, theirs = rows["Keelmark, balanced"], rows["plumblint"]
    yield f"| prompt injection: found, false alarms | {percent(ours['found'])}, "
    yield f"{percent(ours['alarms'])} | plumblint {percent(theirs['found'])}, "
    yield f"{percent(theirs['alarms'])} |\n"
    secrets, scan = figures["secrets"], figures["false_alarms"]
    peer = next(name for name in secrets["found"] if name != "Keelmark")
    shares = [f"{100 * n / secrets['samples']:.0f} %" for n in secrets["found"].values()]
    yield f"| secrets of {secrets['kinds']} kinds found | {shares[0]} "
    yield f"| detect-secrets {shares[1]} |\n"
    rates = [scan["counts"][name] / scan["megabytes"] for name in ("keelmark", peer)]
    yield f"| secrets: alarms per MB of source code | {rates[0]:.2f} "
    yield f"| detect-secrets {rates[1]:.1f} |\n"
    cost = figures["guard"]["cost"]["answer, 40 chunks of 20"]["best_ms"]
    yield f"| CPU that the guard adds to a 40-chunk answer | {cost:.2f} ms | – |\n\n"
    yield "What was measured, how, and where Keelmark is behind: "
    yield "[figures](docs/reference/figures.md)."


def page(figures: dict) -> Iterator[str]:
    """The page of docs/reference."""
    peers, dates = figures["guard_peers"], figures["dates"]
    personal = peers["personal"]
    yield "# Figures of the guard\n\n"
    yield f"Measured on {dates['guard_peers']} ({figures['machine']}) by `make bench`, each "
    yield "product in the same run on the same texts. The machine is shared: use the ratios. "
    yield "Intervals in brackets are of 95 %.\n\n## Personal data\n\n"
    yield "A word is found when any finding covers it, whatever that calls it. Dates, ages, web "
    yield "addresses, UUIDs and nationalities that are found where nothing is marked are no false "
    yield "alarms, for either product. Presidio runs with spaCy's small English model, and is "
    yield "shown at that of the thresholds 0, 0.35, 0.5 and 0.6 which suits it best on the texts "
    yield "in question; Keelmark at 0.5, with AGE, DATE and URL switched on. Where names are left "
    yield "out, so are places, organisations and addresses.\n"
    for name, about in SETS.items():
        group = personal["sets"].get(name)
        if not group:
            continue
        yield f"\n### {HEADINGS[name]}\n\n{group['texts']} texts: {about}.\n"
        for scope in ("all kinds", "without names"):
            yield from _quality(personal["quality"][f"{name}, {scope}"], scope)
    yield "\nThe names model learnt from other templates of the same generator, with names from "
    yield "the same lists, so the first of the sets flatters it; the rules for names were written "
    yield "with those other templates in view. On our own texts nothing was tuned but telephone "
    yield "numbers in national form.\n"
    yield from _kinds(personal["quality"])
    yield from _alarms(personal)
    yield from _speed(personal["speed"])
    yield from _injection(peers["injection"])
    yield from _heads(figures)
    yield from _secrets(figures)
    yield from _costs(figures["guard"], dates["guard"])
    yield from _hostile(figures["hostile"], dates["hostile"])


def _quality(rows: dict, scope: str) -> Iterator[str]:
    words = next(iter(rows.values()))["words"]
    yield f"\n| {scope}, {words} words | precision | recall | F1 | F2 |\n|---|---|---|---|---|\n"
    for name, row in rows.items():
        if scope == "without names" and name.startswith("Keelmark") and name != "Keelmark":
            continue
        yield f"| {NAMES[name]} | {row['precision']:.3f} | {row['recall']:.3f} "
        yield f"| {row['f1']:.3f} | {row['f2']:.3f} [{row['f2_low']:.3f}, {row['f2_high']:.3f}] |\n"


def _kinds(quality: dict) -> Iterator[str]:
    rows = quality["own, English, all kinds"]
    chosen = ["Keelmark + names", "presidio", "presidio-every"]
    yield "\n### Words found, by kind (our own texts, English)\n\n| kind | "
    yield " | ".join(NAMES[name] for name in chosen) + " |\n|---|---|---|---|\n"
    for kind in rows[chosen[0]]["recall_by_kind"]:
        pairs = (share(rows[name]["recall_by_kind"].get(kind, [0, 0])) for name in chosen)
        yield f"| {kind} | {' | '.join(pairs)} |\n"


def _alarms(personal: dict) -> Iterator[str]:
    yield f"\n## Look-alikes\n\n{personal['look_alikes']} texts with codes, numbers and words that "
    yield "are nobody's personal data (`tests/unit/guard/detectors/look_alikes.txt`), everybody at "
    yield "0.5. Ours were written with them in view.\n\n"
    yield "| | texts with a false alarm | without names and places |\n|---|---|---|\n"
    for name, row in personal["false_alarms"].items():
        yield f"| {NAMES[name]} | {row['texts']} | {row['without_names']} |\n"


def _speed(speed: dict) -> Iterator[str]:
    yield "\n## Time\n\nMedian and 99th percentile of 200 texts with personal data in them.\n\n"
    yield "| | 150 characters | 1,500 characters |\n|---|---|---|\n"
    for name, row in speed.items():
        label = NAMES[name].replace("no model", "`personal_data` alone")
        yield f"| {label} | {_times(row, '150')} | {_times(row, '1500')} |\n"


def _injection(one: dict) -> Iterator[str]:
    sample = next(iter(one["rows"].values()))
    yield f"\n## Prompt injection\n\n{sample['found'][1]} attacks and {sample['alarms'][1]} "
    yield "harmless prompts: of each public data set at most 80, from the half that is kept for "
    yield "validation (by a hash of the text). The files were at hand while the rules were "
    yield "written, so the figures flatter Keelmark.\n\n"
    yield "| | attacks found | harmless prompts flagged | median / p99 |\n|---|---|---|---|\n"
    for name, row in one["rows"].items():
        times = one["speed"][name.partition(",")[0]]
        yield f"| {NAMES[name]} | {percent(row['found'], row['found_interval'])} "
        yield f"| {percent(row['alarms'], row['alarms_interval'])} "
        yield f"| {times['p50_ms']:.2f} / {times['p99_ms']:.1f} ms |\n"
    chosen = list(one["rows"])
    yield "\n| attacks found in | " + " | ".join(NAMES[name] for name in chosen) + " |\n"
    yield "|---" * (1 + len(chosen)) + "|\n"
    for key in sample["by_set"]:
        if key.endswith(" 1"):
            pairs = (share(one["rows"][name]["by_set"][key]) for name in chosen)
            yield f"| {key[:-2]} | {' | '.join(pairs)} |\n"


HEADS = {
    "injection": "Prompt injection and jailbreaks",
    "harm_request": "Requests for harm",
    "toxic": "Toxic and hateful texts",
    "harm_answer": "Answers that do harm",
}


def heads(one: dict) -> Iterator[str]:
    """The encoder's detectors beside peers: a table for each head, and what is flagged where."""
    for head, found in one["heads"].items():
        products = found["products"]
        yield f"\n### {HEADS[head]}\n\n{found['positive']} of {found['texts']} texts.\n\n"
        yield "| | area under the ROC curve | found | false alarms | median / p99 |\n"
        yield "|---|---|---|---|---|\n"
        for name, row in products.items():
            yield f"| {NAMES[name]} | {_area(row)} | {_rate(row, 'recall')} "
            yield f"| {_rate(row, 'false')} | {_took(row)} |\n"
        yield "\n| found / flagged in vain | " + " | ".join(NAMES[name] for name in products)
        yield " |\n" + "|---" * (1 + len(products)) + "|\n"
        for source in next(iter(products.values()))["sources"]:
            cells = (_flagged(*row["sources"][source]) for row in products.values())
            yield f"| {source} | {' | '.join(cells)} |\n"


def _area(row: dict) -> str:
    if "auroc" not in row:
        return "–"
    return "{:.3f} [{:.3f}, {:.3f}]".format(row["auroc"], *row["auroc_95"])


def _rate(row: dict, name: str) -> str:
    if f"{name}@shipped" not in row:
        return "–"
    value, ends = row[f"{name}@shipped"], row[f"{name}@shipped_95"]
    return "{:.1f} % [{:.1f}, {:.1f}]".format(*(100 * one for one in (value, *ends)))


def _took(row: dict) -> str:
    return f"{row['p50_ms']:.1f} / {row['p99_ms']:.0f} ms" if "p50_ms" in row else ""


def _flagged(harmless: list[int], positive: list[int]) -> str:
    shown = (f"{100 * hits / of:.0f} %" if of else "–" for hits, of in (positive, harmless))
    return " / ".join(shown)


def _heads(figures: dict) -> Iterator[str]:
    if "guard_heads" not in figures:
        return
    one = figures["guard_heads"]
    yield f"\n## The encoder\n\nMeasured on {figures['dates']['guard_heads']} by `make bench "
    yield f"ARGS=guard-heads`, on at most {one['most']} texts of each source that the encoder was "
    yield "not taught with. Peers flag at the thresholds they come with, our detectors at `fpr_1`, "
    yield "policy `full` what it stops. Our thresholds come from these sources, so our false "
    yield "alarms are right by construction on average; areas, and what is found, are not. Which "
    yield "of these texts a peer was taught with is not known.\n"
    yield from heads(one)


def _secrets(figures: dict) -> Iterator[str]:
    secrets, scan = figures["secrets"], figures["false_alarms"]
    yield f"\n## Secrets\n\n{secrets['samples']} samples of the {secrets['kinds']} kinds in our "
    yield "table, made by chance by the recipes of the tests, in a line of Python and in a file of "
    yield f"settings; and {scan['megabytes']:.0f} MB of source code that holds next to none "
    yield f"({scan['files']:,} files).\n\n"
    yield "| | samples found | alarms per MB | seconds |\n|---|---|---|---|\n"
    for name, count in secrets["found"].items():
        key = name if name != "Keelmark" else "keelmark"
        pair, interval = [count, secrets["samples"]], secrets["intervals"][name]
        shown = f"**{name}**" if name == "Keelmark" else name.replace("==", " ")
        yield f"| {shown} | {percent(pair, interval)} "
        yield f"| {scan['counts'][key] / scan['megabytes']:.2f} | {scan[key]['seconds']:.1f} |\n"


def _costs(guard: dict, date: str) -> Iterator[str]:
    yield f"\n## What the default guard costs\n\nMeasured on {date}, without the gateway.\n\n"
    yield "| | best | median |\n|---|---|---|\n"
    for name, row in guard["cost"].items():
        yield f"| {name} | {row['best_ms']:.3f} ms | {row['middle_ms']:.3f} ms |\n"
    yield "\nWorst cases: a prompt of 1 MB that is one thing again and again, all rules.\n\n"
    yield "| | CPU per 100,000 characters |\n|---|---|\n"
    for name, milliseconds in guard["hostile_ms_per_100kB"].items():
        yield f"| {name} | {milliseconds:.0f} ms |\n"


def _hostile(found: dict, date: str) -> Iterator[str]:
    whole, varied = found["whole"], found["varied"]
    yield f"\n## Hostile text\n\nMeasured on {date} by `python bench/hostile.py --rules`: some "
    yield "two hundred short texts, made to be dear, each repeated to 200,000 characters, one "
    yield "detector at a time, without encoders. What repeats is read once, so they go through a "
    yield "second time with another word in them every 2,000 characters. CPU per 100 kB; the goal "
    yield "is 50 ms.\n\n"
    for name, rows in (("Repeated", whole), ("Varied", varied)):
        yield f"{name}: {rows['over']} of {rows['rows']:,} above the goal, {rows['bent']} that "
        yield "grow faster than n^1.3.  \n"
    yield "\n| | prose | repeated, the worst | varied, the worst |\n|---|---|---|---|\n"
    for name, row in varied["worst"].items():
        first = whole["worst"][name]
        yield f"| `{name}` | {row['prose_ms']} ms | {first['ms']} ms ({first['text']}) "
        yield f"| {row['ms']} ms ({row['text']}) |\n"


def measured(figures: dict) -> dict[str, tuple[str, str]]:
    """For each detector that was measured: what it finds, and what it flags in vain."""
    peers = figures["guard_peers"]
    personal, injected = peers["personal"], peers["injection"]["rows"]["Keelmark, balanced"]
    own = personal["quality"]["own, English, without names"]["Keelmark"]
    every = personal["quality"]["own, English, all kinds"]["Keelmark + names"]
    kinds = [every["recall_by_kind"][kind] for kind in ("PERSON", "PLACE", "ORGANISATION")]
    named = [sum(column) for column in zip(*kinds, strict=True)]
    texts, alike = personal["sets"]["own, English"]["texts"], personal["look_alikes"]
    alarms = personal["false_alarms"]
    extra = alarms["Keelmark + names"]["texts"] - alarms["Keelmark"]["texts"]
    secrets, scan = figures["secrets"], figures["false_alarms"]
    out = {
        name: ("not measured", f"{share(pair)} harmless prompts")
        for name, pair in peers["harmless_prompts"].items()
    }
    formed = [round(own["recall"] * own["words"]), own["words"]]
    out["personal_data"] = (
        f"{percent(formed)} of {formed[1]} words ({texts} texts of our own)",
        f"{alarms['Keelmark']['texts']} of {alike} look-alikes",
    )
    out["names"] = (
        f"{percent(named)} of {named[1]} words ({texts} texts of our own)",
        f"{extra} of {alike} look-alikes",
    )
    out["prompt_injection"] = (
        f"{percent(injected['found'])} of {injected['found'][1]} attacks (public sets)",
        f"{share(injected['alarms'])} harmless prompts",
    )
    pair = [secrets["found"]["Keelmark"], secrets["samples"]]
    rate = scan["counts"]["keelmark"] / scan["megabytes"]
    out["secrets"] = (
        f"{percent(pair)} of {pair[1]} samples ({secrets['kinds']} kinds, made by recipe)",
        f"{rate:.2f} per MB of source code ({scan['megabytes']:.0f} MB)",
    )
    return out
