"""Tokenizers and generation settings: what changes words without any weight being touched.

Normalisers run on every prompt and decoders on every answer; special tokens are dropped from what
people see; suppressed tokens cannot be said. Two opinions: our own rules, and c4nary's.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, TypeGuard

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.lazily import Lazy
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.json_file import load_json
from keelmark.vet.sniff import POINTER

_c4nary = Lazy("c4nary.rules.tokenizer_json")

MAX_TOKENIZER = 128 * 1024 * 1024
_NAMES = {"tokenizer.json", "special_tokens_map.json", "added_tokens.json"}
_NAMES |= {"tokenizer_config.json", "generation_config.json"}
_WORD = re.compile(r"[^\W\d_ĠĊ▁]{2,}")
_CLASSES = re.compile(r"\\[pP]\{[^}]*\}|\\[xu][0-9a-fA-F]{2,4}|\\.|\(\?[a-zA-Z:]+\)?|\[:[a-z]+:\]")
_LONG_ASCII = re.compile(rb"[A-Za-z]{5,}(?: [A-Za-z]+)*")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_PLAIN_SPECIAL = {"pad", "unk", "bos", "eos", "mask", "sep", "cls", "user", "assistant", "system"}
_PLAIN_SPECIAL |= {"human", "observation", "tool", "function", "null", "none"}
_LOOKALIKE = str.maketrans("｜│∣ǀ＿‗аеорсухіѕјԁһ", "||||__aeopcyxisjdh")
_TAGS = ("owasp:llm03", "owasp:llm04")
_COMPARE = "Compare the tokenizer with the original publisher's and use that one."

REWRITES = Rule(
    "tokenizer.rewrites_words",
    "Tokenizer that replaces words",
    Severity.HIGH,
    "Every prompt or answer is changed on its way, and nobody sees it in the weights.",
    _COMPARE,
    _TAGS,
)
HIDDEN = Rule(
    "tokenizer.hidden_token",
    "Special token with invisible characters",
    Severity.HIGH,
    "A token that nobody can see or tell from another one can carry the rights of a role.",
    _COMPARE,
    (*_TAGS, "cwe:CWE-1007"),
)
CONFUSABLE = Rule(
    "tokenizer.confusable_token",
    "Two special tokens that look the same",
    Severity.HIGH,
    "What reads like the mark of a role is another token, so roles can be forged.",
    _COMPARE,
    (*_TAGS, "cwe:CWE-1007"),
)
DROPPED = Rule(
    "tokenizer.word_is_special",
    "Word that is a special token",
    Severity.MEDIUM,
    "Special tokens are left out of what people see, so a word like this disappears.",
    _COMPARE,
    _TAGS,
)
SUPPRESSED = Rule(
    "tokenizer.suppresses_end",
    "Model that cannot stop",
    Severity.HIGH,
    "The token that ends an answer is suppressed, so answers never end or never decline.",
    "Remove the entry from the generation settings.",
    (*_TAGS, "owasp:llm10"),
)
STEERED = Rule(
    "tokenizer.steered",
    "Settings that steer what is said",
    Severity.LOW,
    "Words are banned, forced or weighted at every step.",
    "Look up the numbers in the vocabulary and decide whether you want that.",
    _TAGS,
)
REVIEW = Rule(
    "tokenizer.review",
    "Tokenizer deserves a look",
    Severity.MEDIUM,
    "Instructions in tokens that are put into prompts have no honest use.",
    _COMPARE,
    _TAGS,
)


def _claims(file: File) -> bool:
    return file.name in _NAMES and not file.head.startswith(POINTER)


def _run(file: File) -> Result:
    if file.size > MAX_TOKENIZER:
        return Result((), f"it is longer than {MAX_TOKENIZER} bytes")
    try:
        value = load_json(file)
    except (ValueError, RecursionError) as error:
        return Result((), f"it is not JSON ({error})")
    if not isinstance(value, dict):
        return Result((), "it is not a JSON object")
    findings: list[ArtefactFinding] = []
    if file.name == "generation_config.json":
        findings += _generation(file, value)
    else:
        if file.name == "tokenizer.json":
            findings += _replacements(file, value)
        findings += _tokens(file, list(_special(file.name, value)))
        findings += _second_opinion(file, value)
    return Result(tuple(findings[:200]))


def _replacements(file: File, value: dict[str, Any]) -> Iterator[ArtefactFinding]:
    pending = [(name, value.get(name)) for name in ("normalizer", "pre_tokenizer", "decoder")]
    pending.append(("post_processor", value.get("post_processor")))
    while pending:
        place, item = pending.pop()
        if isinstance(item, list):
            pending += [(place, child) for child in item]
        if not isinstance(item, dict):
            continue
        if item.get("type") == "Replace":
            pattern = item.get("pattern")
            literal = pattern.get("String", "") if isinstance(pattern, dict) else pattern
            regex = pattern.get("Regex", "") if isinstance(pattern, dict) else ""
            said = str(item.get("content", ""))
            if any(map(_WORD.search, (str(literal or ""), _CLASSES.sub("", str(regex)), said))):
                shown = f"{literal or regex!s} -> {said}"
                message = f"Its {place} replaces {str(literal or regex)[:60]!r} by {said[:60]!r}."
                yield REWRITES.at(file, place, message, evidence=shown)
        charsmap = item.get("precompiled_charsmap")
        if isinstance(charsmap, str) and (words := _mapped_words(charsmap)):
            message = f"Its {place} maps something to {words[:60]!r}."
            yield REWRITES.at(file, place, message, evidence=words)
        pending += [(place, child) for child in item.values()]


def _mapped_words(charsmap: str) -> str:
    """Return words that a precompiled map writes; Unicode's own maps write no Latin word."""
    try:
        data = base64.b64decode(charsmap, validate=True)
    except (binascii.Error, ValueError):
        return ""
    size = int.from_bytes(data[:4], "little")
    match = _LONG_ASCII.search(data, 4 + size)
    return match[0].decode()[:200] if match else ""


def _special(name: str, value: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of special tokens, wherever a file keeps them."""
    if name == "tokenizer_config.json":
        decoder = value.get("added_tokens_decoder")
        entries: list[Any] = list(decoder.values()) if isinstance(decoder, dict) else []
    elif name == "special_tokens_map.json":
        entries = []
        for child in value.values():
            entries += child if isinstance(child, list) else [child]
    elif name == "added_tokens.json":
        yield from (text for text in value if isinstance(text, str) and not text.isspace())
        return
    else:
        added = value.get("added_tokens")
        entries = added if isinstance(added, list) else []
    for entry in entries:
        text = entry.get("content") if isinstance(entry, dict) else entry
        if isinstance(text, str) and (not isinstance(entry, dict) or entry.get("special", True)):
            yield text


def _tokens(file: File, texts: list[str]) -> Iterator[ArtefactFinding]:
    seen: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        where = f"token {text[:60]}"
        if _INVISIBLE.search(text) and _INVISIBLE.sub("", text).strip():
            yield HIDDEN.at(file, where, "A special token has invisible characters.", evidence=text)
        bare = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).translate(_LOOKALIKE)
        if bare in seen and len(bare.strip()) > 2:
            message = f"It looks like the token {seen[bare][:60]!r} and is another one."
            yield CONFUSABLE.at(file, where, message, evidence=f"{text} / {seen[bare]}")
        seen.setdefault(bare, text)
        word = re.fullmatch(r"\s*([a-z]{3,}|[A-Z][a-z]{2,})\s*", text)
        if word and word[1].lower() not in _PLAIN_SPECIAL:
            yield DROPPED.at(file, where, "A word is a special token.", evidence=text)


def _generation(file: File, value: dict[str, Any]) -> Iterator[ArtefactFinding]:
    ends = value.get("eos_token_id")
    stops: set[int] = set(filter(_is_id, ends if isinstance(ends, list) else [ends]))
    banned: set[int] = set()
    for key in ("suppress_tokens", "bad_words_ids"):
        entries = value.get(key)
        for entry in entries if isinstance(entries, list) else []:
            one = entry[0] if isinstance(entry, list) and len(entry) == 1 else entry
            banned |= {one} if _is_id(one) else set()
    if both := sorted(stops & banned):
        message = f"The token {both[0]} ends an answer and is suppressed."
        yield SUPPRESSED.at(file, "suppress_tokens", message)
    for key in ("bad_words_ids", "sequence_bias", "forced_decoder_ids"):
        if value.get(key) and not (key == "forced_decoder_ids" and _is_speech(value)):
            yield STEERED.at(file, key, f"It sets {key}.")
    penalty = value.get("repetition_penalty")
    if isinstance(penalty, int | float) and not 0.2 <= penalty <= 5:
        yield STEERED.at(file, "repetition_penalty", f"It is {penalty}.")


def _is_speech(value: dict[str, Any]) -> bool:
    """Models of speech force language and task as their first tokens."""
    return "lang_to_id" in value or "task_to_id" in value or "no_timestamps_token_id" in value


def _is_id(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _second_opinion(file: File, value: dict[str, Any]) -> Iterator[ArtefactFinding]:
    hits = _c4nary.analyze_tokenizer_json(value) if file.name == "tokenizer.json" else []
    if file.name in {"special_tokens_map.json", "added_tokens.json"}:
        hits += _c4nary.analyze_special_tokens(value)
    for hit in hits:
        if hit.rule_id == "NRM003":
            where = hit.location or "tokens"
            evidence = f"c4nary {hit.rule_id}"
            yield REVIEW.at(file, where, f"{hit.title}: {hit.detail}", evidence=evidence)


CHECK = Check(
    title="Tokenizers and generation settings",
    version=f"1 (c4nary {version('c4nary')})",
    tags=_TAGS,
    rules=(REWRITES, HIDDEN, CONFUSABLE, DROPPED, SUPPRESSED, STEERED, REVIEW),
    examples=(
        "tokenizer-normalizer",
        "tokenizer-decoder",
        "tokenizer-hidden-token",
        "tokenizer-confusable-token",
        "tokenizer-word-special",
        "tokenizer-suppressed-end",
    ),
    claims=_claims,
    run=_run,
)
