"""`/v1/moderations`: answered by our own guard, in OpenAI's shape, without an engine.

OpenAI's categories are kinds of harm. A category that no rule in force can see is `null`, with
score 0 and its name in `keelmark.not_checked`: never `false`, which would read as checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from keelmark.core.ports import Rated, Segment
from keelmark.core.semconv import OP_MODERATION
from keelmark.core.verdict import Verdict
from keelmark.serve.calls import Call, Desk, Kind, Stage, before
from keelmark.serve.errors import bad_request
from keelmark.serve.serving import Serving
from keelmark.serve.shapes import MOST_INPUTS

MODEL = "keelmark-guard"

CATEGORIES: dict[str, tuple[str, ...]] = {
    "harassment": ("TOXIC", "HATE"),
    "harassment/threatening": (),
    "hate": ("HATE",),
    "hate/threatening": (),
    "illicit": ("NON_VIOLENT_CRIMES", "INDISCRIMINATE_WEAPONS"),
    "illicit/violent": ("VIOLENT_CRIMES", "INDISCRIMINATE_WEAPONS"),
    "self-harm": ("SELF_HARM",),
    "self-harm/intent": (),
    "self-harm/instructions": (),
    "sexual": ("SEXUAL_CONTENT", "SEX_CRIMES", "CHILD_EXPLOITATION"),
    "sexual/minors": ("CHILD_EXPLOITATION",),
    "violence": ("VIOLENT_CRIMES",),
    "violence/graphic": (),
}
"""OpenAI's category to the labels of `harm_classifier` that fit; none where it tells no kind."""
_NOTHING: Mapping[str, Rated] = {}


async def check_inputs(_desk: Desk, call: Call) -> Call:
    """Check the shape of a moderation request."""
    body: Any = call.body
    if not isinstance(body, dict):
        raise bad_request("The body must be a JSON object.")
    call.trace.model = MODEL
    call.trace.engine = "keelmark"
    texts = _texts(body.get("input"))
    return msgspec.structs.replace(call, body={"input": texts})


def _texts(given: Any) -> list[str]:
    items = [given] if isinstance(given, str) else given
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_INPUTS:
        raise bad_request("The field `input` must be text or a list of texts.", "input")
    texts: list[str] = []
    for number, item in enumerate(items):
        text = item.get("text") if isinstance(item, dict) and item.get("type") == "text" else item
        if not isinstance(text, str):
            raise bad_request(
                f"`input[{number}]` is not text: only text can be judged.", f"input[{number}]"
            )
        texts.append(text)
    return texts


class Moderating(Serving):
    """One moderation request while it is served."""

    once: ClassVar[tuple[Stage, ...]] = before(check_inputs)
    each: ClassVar[tuple[Stage, ...]] = ()

    async def ask(self) -> bytes:
        """Judge every text on its own; return the whole answer."""
        verdicts: list[Verdict] = []
        rates: list[Mapping[str, Rated]] = []
        guard, origin = self.desk.config.guard, self.call.origin
        for number, text in enumerate(self.call.body["input"]):
            segment = Segment(role="user", path=f"input[{number}]", text=text)
            request = guard.open(origin)
            verdicts.append((await request.check_input([segment])).verdict)
            rates.append(await request.rated(text))
        self.trace.input = max(verdicts, key=lambda v: (v.stops, len(v.findings)))
        answer = {
            "id": "modr-" + self.trace.trace_id,
            "model": MODEL,
            "results": [result_of(*both) for both in zip(verdicts, rates, strict=True)],
        }
        return msgspec.json.encode(answer)


MODERATION = Kind(OP_MODERATION, "", lambda _body, **_: 1, streams=False)


def result_of(verdict: Verdict, rates: Mapping[str, Rated] = _NOTHING) -> dict[str, Any]:
    """Return one result in OpenAI's shape, with everything the guard says under `keelmark`."""
    scores: dict[str, float] = {}
    seen: dict[str, bool | None] = {}
    for name, labels in CATEGORIES.items():
        weighed = [rates[label] for label in labels if label in rates]
        weighed += [Rated(f.score, counts=True) for f in verdict.findings if f.label in labels]
        scores[name] = max((one.score for one in weighed), default=0.0)
        seen[name] = any(one.counts for one in weighed) if weighed else None
    failed = [r.rule for r in verdict.rules if not r.outcome.examined]
    short = verdict.shortened()
    return {
        "flagged": verdict.stops or bool(verdict.findings),
        "categories": seen,
        "category_scores": scores,
        "category_applied_input_types": {name: ["text"] if seen[name] else [] for name in seen},
        "keelmark": {
            "verdict": verdict.outcome,
            "reason": verdict.reason,
            "findings": short.findings,
            "left_out": short.left_out,
            "coverage": verdict.coverage,
            "not_checked": [name for name, found in seen.items() if found is None] + failed,
        },
    }
