"""What a guarded stream holds back, and for how long: characters, tokens and time.

    python bench/held.py [--policy default ...] [--json]

The texts are the project's own documentation (prose, lists, code, tables: about the worst that an
answer is), in pieces of about one token. For each policy: characters held after each piece
(middle, 99 of 100, most), pieces until the first character leaves, and time of the guard per piece
beside doing nothing, which is passing the same pieces through a policy without rules.
"""

import argparse
import json
import re
import statistics
import time
from pathlib import Path

from keelmark.core.policy import parse_policy
from keelmark.guard import Guard

ROOT = Path(__file__).resolve().parents[1]
NOTHING = "name: nothing\nguard: {rules: []}\n"
TOKEN = re.compile(r"\s?[A-Za-z]{1,6}|\s?[0-9]{1,3}|\s+|[^\sA-Za-z0-9]")
ANSWER = 2_000  # characters of one answer


def answers() -> list[list[str]]:
    """The documentation, as answers of about the same length in tokens."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/**/*.md"))]
    whole = "\n".join(texts)
    return [TOKEN.findall(whole[at : at + ANSWER]) for at in range(0, len(whole), ANSWER)]


def measure(guard: Guard, streams: list[list[str]]) -> dict[str, float]:
    """Play all answers; return what was held and how long it took."""
    held: list[int] = []
    first: list[int] = []
    spent: list[float] = []
    for pieces in streams:
        stream = guard.stream()
        read = left = 0
        waited = len(pieces)
        for number, piece in enumerate(pieces):
            began = time.perf_counter()
            out = stream.feed(piece)
            spent.append(time.perf_counter() - began)
            if stream.blocked:
                break
            read += len(piece)
            left += len(out)
            held.append(max(0, read - left))
            if out and waited == len(pieces):
                waited = number
        stream.finish()
        first.append(waited)
    held.sort()
    return {
        "answers": len(streams),
        "pieces": len(held),
        "held_p50": held[len(held) // 2],
        "held_p99": held[len(held) * 99 // 100],
        "held_most": held[-1],
        "pieces_to_first_p50": statistics.median(first),
        "pieces_to_first_most": max(first),
        "us_per_piece": 1e6 * statistics.fmean(spent),
        "us_per_piece_p99": 1e6 * sorted(spent)[len(spent) * 99 // 100],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--policy", action="append", help="name or file; may be repeated")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    streams = answers()
    named = args.policy or ["default", "strict", "hipaa", "coding-assistant"]
    guards = {"no rules": Guard(parse_policy(NOTHING)), **{name: Guard(name) for name in named}}
    rows = {name: measure(guard, streams) for name, guard in guards.items()}
    if args.json:
        print(json.dumps(rows))
        return
    print("| policy | held p50 | p99 | most | pieces to the first | most | µs per piece | p99 |")
    print("|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        print(
            f"| {name} | {row['held_p50']} | {row['held_p99']} | {row['held_most']} "
            f"| {row['pieces_to_first_p50']:.0f} | {row['pieces_to_first_most']} "
            f"| {row['us_per_piece']:.1f} | {row['us_per_piece_p99']:.1f} |"
        )
    print(f"{rows[named[0]]['answers']} answers, {rows[named[0]]['pieces']} pieces")


if __name__ == "__main__":
    main()
