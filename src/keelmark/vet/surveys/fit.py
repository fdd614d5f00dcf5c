"""Will it fit: memory for weights and context, here and elsewhere, by engine."""

from __future__ import annotations

import re
from typing import Any

from keelmark.core.vetting import Line, Section
from keelmark.passport.manifest import Manifest
from keelmark.vet.fit.cache import ENGINES, Demand
from keelmark.vet.fit.demand import (
    ACCELERATORS,
    GIB,
    USABLE,
    Need,
    longest_context,
    need,
    quantisations,
    tokens_per_second,
)
from keelmark.vet.fit.parts import Part, parts
from keelmark.vet.fit.shape import Shape
from keelmark.vet.fit.weights import Weights
from keelmark.vet.machine import Machine
from keelmark.vet.survey import Serving, Subject, Survey, Surveyed

TITLE = "Fit: memory and speed"
_CONTEXT = 8192
_PICKLED = re.compile(r"(pytorch_model|model|consolidated)[^/]*\.(bin|pt|pth)")
_MOST_PARTS = 16
_UNKNOWN = "could not tell"


def run(subject: Subject) -> Surveyed:
    """Answer for every model that the artefact holds; the first one gives the short answer."""
    found = parts(subject.facts)
    more = len(found) - _MOST_PARTS
    if not found:
        reason = "no GGUF, no safetensors and no config.json of a language model was found"
        section = Section(
            title=TITLE,
            answer=_UNKNOWN,
            summary=f"How much memory it needs could not be told: {reason}.",
            unanswered=(f"memory: {reason}",),
        )
        return Surveyed(section)
    demand = _demand(subject.asked.serving)
    found = [_with_pickles(part, subject.manifest) for part in found[:_MOST_PARTS]]
    answers = [_answer(part, demand, subject.machine) for part in found]
    left = (f"{more} further models: only {_MOST_PARTS} are looked at",) if more > 0 else ()
    section = Section(
        title=TITLE,
        answer=answers[0].answer,
        summary=answers[0].summary,
        lines=tuple(line for answer in answers for line in answer.lines),
        unanswered=(*(gap for answer in answers for gap in answer.unanswered), *left),
        data={
            "accelerators_date": ACCELERATORS["date"],
            "models": [answer.data for answer in answers],
        },
    )
    return Surveyed(section)


def _demand(serving: Serving) -> Demand:
    """Return what is asked of an engine."""
    return Demand(
        context=serving.context or _CONTEXT,
        requests=serving.requests,
        cache_type=serving.cache_type,
    )


def _with_pickles(part: Part, manifest: Manifest) -> Part:
    """Take the size of pickled weights from their files, where there are no others."""
    if part.weights.bytes:
        return part
    start = "" if part.path == "." else f"{part.path}/"
    size = sum(
        entry.size
        for entry in manifest.entries
        if entry.path.startswith(start) and _PICKLED.fullmatch(entry.path[len(start) :])
    )
    return part._replace(weights=Weights(size, 0, size))


def _answer(part: Part, demand: Demand, machine: Machine) -> Section:
    if part.shape is None:
        return _without_shape(part)
    shape, weights = part.shape, part.weights
    if shape.context:
        demand = demand._replace(context=min(demand.context, shape.context))
    needs = need(shape, weights.bytes, demand)
    lines = [_weights_line(part), *_cache_lines(part, shape, demand)]
    data: dict[str, Any] = {
        "path": part.path,
        "architecture": shape.architecture,
        "source": shape.source,
        "weights": _weights_data(weights),
        "context": demand.context,
        "requests": demand.requests,
        "cache_type": demand.cache_type,
        "cache": _caches(shape, demand),
    }
    if not weights.bytes:
        return _without_weights(part, lines, data)
    answer, here, host = _here(shape, weights, demand, machine, needs)
    lines += [_compute_line(part, needs), *here]
    lines += [_accelerators_line(part, shape, weights, demand, data)]
    if line := _quantisation_line(part, shape, demand, machine, data):
        lines.append(line)
    unanswered = [
        f"number type {kind} is not known; its tensors are left out" for kind in weights.unknown
    ]
    summary = (
        f"{part.name} needs about {_size(needs.total)} with llama.cpp at "
        f"{demand.context:,} tokens of context: {host}."
    )
    data["machine"] = {"memory": machine.memory, "answer": answer}
    return _section(answer, summary, lines, unanswered, data)


def _section(
    answer: str, summary: str, lines: list[Line], unanswered: list[str], data: dict[str, Any]
) -> Section:
    return Section(
        title=TITLE,
        answer=answer,
        summary=summary,
        lines=tuple(lines),
        unanswered=tuple(unanswered),
        data=data,
    )


def _without_shape(part: Part) -> Section:
    lines = [_weights_line(part)] if part.weights.bytes else []
    data = {"path": part.path, "weights": _weights_data(part.weights), "reason": part.reason}
    gap = f"memory for context of {part.name}: {part.reason}"
    summary = f"How much memory {part.name} needs could not be told: {part.reason}."
    return _section(_UNKNOWN, summary, lines, [gap], data)


def _without_weights(part: Part, lines: list[Line], data: dict[str, Any]) -> Section:
    gap = f"weights of {part.name}: no safetensors or GGUF file is beside its configuration"
    summary = f"The context of {part.name} is known, but its weights are not here to be added up."
    return _section(_UNKNOWN, summary, lines[1:], [gap], data)


def _weights_line(part: Part) -> Line:
    weights = part.weights
    why = "As stored; llama.cpp maps the file, so this much of it is read into memory."
    if part.form == "safetensors":
        why = "As stored; an engine that converts them needs more or less."
    told = f"{weights.parameters:,} parameters at {weights.bits:.2f} bits"
    evidence = told if weights.parameters else "how the numbers are packed is not known here"
    return Line(
        what=f"weights of {part.name}", answer=_size(weights.bytes), why=why, evidence=evidence
    )


def _cache_lines(part: Part, shape: Shape, demand: Demand) -> list[Line]:
    contexts = sorted({demand.context, shape.context or demand.context})
    lines = []
    for engine in ENGINES if part.form == "safetensors" else ENGINES[:1]:
        for context in contexts:
            asked = demand._replace(engine=engine, context=context)
            kept = need(shape, 0, asked).cache
            lines.append(
                Line(
                    what=f"{engine}: context of {context:,} tokens, {asked.requests} at once, "
                    f"{asked.cache_type}",
                    answer=_size(kept.total),
                    why=_why(shape, engine),
                    evidence=_parts_of(kept.tokens, kept.states, kept.indexed),
                )
            )
    return lines


def _why(shape: Shape, engine: str) -> str:
    count = len(shape.layers)
    keeping = sum(1 for layer in shape.layers if layer.key)
    sliding = sum(1 for layer in shape.layers if layer.window)
    said = f"{keeping} of {count} layers keep keys and values"
    if any(layer.key and not layer.value for layer in shape.layers):
        said += " as one compressed vector"
    if sliding:
        how = "only their window" if engine == "llama.cpp" and shape.ring else "the whole context"
        said += f"; {sliding} slide, and {engine} sets aside {how} for them"
    if any(layer.state for layer in shape.layers):
        said += "; the others keep a state of fixed size" if keeping < count else "; with a state"
    return f"{said}."


def _parts_of(tokens: int, states: int, indexed: int) -> str:
    said = [f"keys and values {_size(tokens)}"]
    said += [f"states {_size(states)}"] if states else []
    said += [f"indexer {_size(indexed)} (builds that use it)"] if indexed else []
    return ", ".join(said)


def _compute_line(part: Part, needs: Need) -> Line:
    return Line(
        what=f"computing with {part.name} (llama.cpp)",
        answer=f"about {_size(needs.compute)}",
        why="An estimate of activations, mask, logits and the engine itself.",
    )


def _here(
    shape: Shape, weights: Weights, demand: Demand, machine: Machine, needs: Need
) -> tuple[str, list[Line], str]:
    """Return the answer for this machine, lines, and half a sentence."""
    places = [(f"accelerator {one.name}", one.memory) for one in machine.accelerators]
    places += [("main memory", machine.memory)] if machine.memory else []
    if not places:
        return _UNKNOWN, [], "how much memory this machine has could not be seen"
    lines = []
    fitting = []
    for name, memory in places:
        room = int(memory * USABLE)
        longest = longest_context(shape, weights.bytes, demand, room)
        fits = needs.total <= room
        fitting += [name] if fits else []
        answer = "fits" if fits else "with less context" if longest else "does not fit"
        lines.append(
            Line(
                what=f"this machine, {name}",
                answer=answer,
                why=f"It needs {_size(needs.total)} of {_size(memory)}, of which nine tenths are "
                "taken to be free.",
                evidence=f"longest context {longest:,} tokens" if longest else "",
            )
        )
    answers = [line.answer for line in lines]
    if fitting:
        return "fits", lines, f"it fits into {fitting[0]} here"
    if "with less context" in answers:
        return "fits with less context", lines, "it fits here with less context only"
    return "does not fit", lines, "it does not fit here"


def _accelerators_line(
    part: Part, shape: Shape, weights: Weights, demand: Demand, data: dict[str, Any]
) -> Line:
    """Say which of the table hold it, by the need of llama.cpp, and how fast they can be."""
    needs = need(shape, weights.bytes, demand).total
    paged = need(shape, weights.bytes, demand._replace(engine="vLLM")).total
    table, fitting = [], []
    for vendor, name, memory, bandwidth in ACCELERATORS["device"]:
        fits = needs <= memory * 1e9 * USABLE
        speed = tokens_per_second(weights, bandwidth)
        row: dict[str, Any] = {
            "name": f"{vendor} {name}",
            "memory_gb": memory,
            "bandwidth_gb_s": bandwidth,
        }
        row |= {"fits": fits, "tokens_per_second_at_most": round(speed, 1)}
        if part.form == "safetensors":
            row["fits_vllm"] = paged <= memory * 1e9 * USABLE
        table.append(row)
        fitting += [(memory, f"{vendor} {name}", speed)] if fits else []
    data["accelerators"] = table
    smallest = sorted(fitting)[:3]
    evidence = "; ".join(f"{name}: at most {speed:,.0f} tokens/s" for _, name, speed in smallest)
    return Line(
        what=f"accelerators for {part.name}",
        answer=f"{len(fitting)} of {len(table)}",
        why="So many of the table hold it on one device; no request gets more tokens in a second "
        "than bandwidth divided by the weights that each token reads.",
        evidence=evidence or "none holds it on one device",
    )


def _quantisation_line(
    part: Part, shape: Shape, demand: Demand, machine: Machine, data: dict[str, Any]
) -> Line | None:
    table = quantisations(part.weights)
    if not table:
        return None
    rooms = [one.memory for one in machine.accelerators] or [machine.memory]
    room = int(max(rooms) * USABLE)
    rows = [(one, need(shape, one.bytes, demand).total) for one in table]
    data["quantisations"] = [
        {"name": one.name, "bits": one.bits, "bytes": one.bytes, "needs": total}
        for one, total in rows
    ]
    best = next(((one, total) for one, total in rows if total <= room), None)
    where = "the largest accelerator here" if machine.accelerators else "this machine"
    return Line(
        what=f"quantisation of {part.name} for {where}",
        answer=best[0].name if best else "none",
        why="The one with most bits that fits; sizes are estimates from bits for each weight.",
        evidence=f"about {_size(best[1])} in all" if best else f"{rows[-1][0].name} does not fit",
    )


def _caches(shape: Shape, demand: Demand) -> dict[str, dict[str, dict[str, int]]]:
    contexts = sorted({demand.context, shape.context or demand.context})
    return {
        engine: {
            str(context): need(
                shape, 0, demand._replace(engine=engine, context=context)
            ).cache._asdict()
            for context in contexts
        }
        for engine in ENGINES
    }


def _weights_data(weights: Weights) -> dict[str, Any]:
    return {**weights._asdict(), "unknown": list(weights.unknown), "bits": round(weights.bits, 3)}


def _size(value: int) -> str:
    return f"{value / GIB:.2f} GiB" if value >= GIB else f"{value / (1 << 20):.1f} MiB"


SURVEY = Survey(
    title=TITLE,
    version=f"1 (accelerators of {ACCELERATORS['date']})",
    tags=("owasp:llm10",),
    rules=(),
    examples=(),
    run=run,
)
