"""What our own evaluation finds beside what others published; the page is made of what this keeps.

    keelmark eval run arc_easy --raw --data DATA        # and the others; hours for mmlu_chat
    python bench/evaluation_figures.py keep DATA/runs    # takes complete runs of whole test sets,
                                                         # or of a large part that a seed drew
    python bench/evaluation_figures.py agree agreement.json
    python docs/generate.py evaluation-figures.md

`agree` takes what `python bench/lm_eval_agreement.py --json` says.
"""

import argparse
import json
import sys
from pathlib import Path

import msgspec

from keelmark.core.errors import KeelmarkError
from keelmark.evaluate.result import read_manifest, read_result
from keelmark.evaluate.suite import load_suite

KEPT = Path(__file__).resolve().with_name("evaluation_figures.json")
GOAL = 0.03
FEWEST = 2000


def kept():
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {"runs": {}}


def write(figures):
    text = json.dumps(figures, indent=1, ensure_ascii=False, sort_keys=True)
    KEPT.write_text(text + "\n", encoding="utf-8")


def whole(folder):
    """Return manifest and result of a complete run over a test set; None for any other."""
    try:
        manifest, result = read_manifest(folder), read_result(folder)
    except KeelmarkError:
        return None
    plain, limit = type(manifest.sampling)(), manifest.sampling.limit
    changed = manifest.sampling != msgspec.structs.replace(plain, limit=limit)
    changed = changed or 0 < limit < FEWEST
    if changed or result.state != "complete" or not manifest.asked.model_digest:
        return None
    return manifest, result


def keep(runs):
    figures = kept()
    found = {path.name: whole(path) for path in sorted(runs.iterdir()) if path.is_dir()}
    complete = {name: one for name, one in found.items() if one is not None}
    for name, (manifest, result) in sorted(
        complete.items(), key=lambda one: one[1][0].sampling.limit or sys.maxsize
    ):  # a whole test set comes after parts of it, and stays
        how = " --raw" if manifest.asked.how == "raw" else ""
        how += f" --limit {limit}" if (limit := manifest.sampling.limit) else ""
        metrics = {
            metric: {"value": one.value, "low": one.low, "high": one.high, "n": one.n}
            for metric, one in result.metrics.items()
        }
        figures["runs"][f"{result.suite} {manifest.asked.how}"] = {
            "suite": result.suite,
            "version": result.version,
            "suite_digest": manifest.suite_digest,
            "data": manifest.data.sha256,
            "limit": limit,
            "command": f"keelmark eval run {result.suite}{how}",
            "model": f"{manifest.asked.model} ({manifest.asked.model_digest})",
            "manifest": result.manifest,
            "made": manifest.machine.get("made", "")[:10],
            "metrics": metrics,
            "counts": result.counts,
        }
        print(f"kept {name}")
    write(figures)


def agree(path):
    figures = kept()
    figures["agreement"] = json.loads(path.read_text(encoding="utf-8"))
    write(figures)


def page(figures):
    """Yield the text of docs/reference/evaluation-figures.md."""
    yield HEAD
    yield "| suite | measure | ours, 95 % interval | questions | published | apart | source |\n"
    yield "|---|---|---|---|---|---|---|\n"
    for run in figures["runs"].values():
        yield from _rows(run)
    yield "\nOurs was made with:\n\n| command | date | model | run manifest |\n|---|---|---|---|\n"
    for run in figures["runs"].values():
        name, _, digest = run["model"].partition(" (")
        cells = run["command"], run["made"], f"{name}, `{digest[:19]}`", f"`{run['manifest'][:19]}`"
        yield f"| `{cells[0]}` | {' | '.join(cells[1:])} |\n"
    yield from _agreement(figures.get("agreement"))
    yield TAIL


def _rows(run):
    suite = load_suite(run["suite"]).suite
    published = {one.measure: [] for one in suite.published}
    for one in suite.published:
        published[one.measure].append(one)
    for name, found in run["metrics"].items():
        ours = f"{found['value']:.4f}"
        if found["low"] is not None:
            ours += f" [{found['low']:.4f}, {found['high']:.4f}]"
        mark = "**" if name == suite.primary else ""
        cells = [run["suite"], f"{mark}{name}{mark}", ours, f"{found['n']:,}"]
        for one in published.get(name) or [None]:
            theirs = ["", "", ""]
            if one is not None:
                apart = 100 * (found["value"] - one.value)
                said = f"{one.model}: {one.source}; {one.setting}"
                theirs = [f"{one.value:.4f}", f"{apart:+.1f} points", said]
            yield f"| {' | '.join([*cells, *theirs])} |\n"


def _agreement(found):
    if not found:
        return
    yield "\n## Question by question with lm-evaluation-harness\n\n"
    yield (
        f"lm-evaluation-harness {found['version']} ran its own task `{found['suite']}` over our "
        f"`/v1/completions`, guard included, on the first {found['questions']} questions; our "
        "suite was asked beside it (`python bench/lm_eval_agreement.py`).\n\n"
    )
    yield "| | |\n|---|---|\n"
    yield f"| same prompts and choices | {found['same_prompts']} of {found['questions']} |\n"
    yield f"| texts weighed | {found['texts']} |\n"
    yield f"| largest difference of a log-likelihood | {found['apart']:.1e} |\n"
    for name, one in found["metrics"].items():
        yield (
            f"| same {name} | {one['same']} of {found['questions']} "
            f"(ours {one['ours']:.4f}, theirs {one['theirs']:.4f}) |\n"
        )


HEAD = """# Figures of the evaluation

What `keelmark eval run` finds on whole test sets (where the command says `--limit`: on so many \
questions that a seed drew), beside what others published of the same model. \
Ours is the bundled file, quantised to four bits (Q4_1); theirs are 16-bit weights, or 8-bit where \
it says so. A part of what lies between them is the quantisation: the goal is three points.

"""
TAIL = """
## What to know

- The interval is that of the questions: another set of questions as hard as these would give \
figures in it. It does not cover another prompt, which moves figures of small models by several \
points.
- Scoring is that of the harness that the published figure comes from: `acc` and `acc_norm` of \
lm-evaluation-harness, `acc_norm_nospace` of lighteval. [How each is counted]\
(../how-to/score-multiple-choice.md).
- Figures of HellaSwag, PIQA, WinoGrande and OpenBookQA are missing, because their data is on a \
hub only: fetch it with `keelmark eval fetch`, and `keelmark eval run` shows what the suite knows \
to be published.
- TruthfulQA has worked examples of our own before each question, so its figures are not compared.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("keep", "agree"))
    parser.add_argument("path", type=Path)
    given = parser.parse_args()
    {"keep": keep, "agree": agree}[given.what](given.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
