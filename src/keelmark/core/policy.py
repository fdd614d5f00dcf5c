"""The policy: what is demanded. One YAML file, typed here, with a published JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from keelmark.core.caching import Caching
from keelmark.core.canonical import digest
from keelmark.core.errors import UsageError
from keelmark.core.findings import Severity
from keelmark.core.gates import Gates
from keelmark.core.media import Media
from keelmark.core.overload import Overload
from keelmark.core.quota import Quota, check_quota
from keelmark.core.routing import Routes, check_routes
from keelmark.core.scope import EVERYWHERE, RuleException, Scope
from keelmark.core.yamlfile import Document, Strict, fill, meant, read_document

Stage = Literal["input", "output", "both", "tool_call", "tool_result", "retrieved"]
Action = Literal["mask", "redact", "block", "flag", "annotate"]
FailMode = Literal["closed", "open"]
LoadMode = Literal["sealed", "hash", "mtime"]
Mode = Literal["enforce", "shadow"]
Replacement = Literal["placeholder", "surrogate"]


class Waiver(Strict, frozen=True):
    """A finding that is accepted, for a reason and until a date.

    Attributes:
        rule: Rule id of the finding.
        path: File it applies to; "*" for all.
        reason: Why it is accepted.
        expires: Last day it holds, YYYY-MM-DD.
    """

    rule: str
    reason: Annotated[str, msgspec.Meta(min_length=1)]
    expires: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    path: str = "*"


class Admission(Strict, frozen=True):
    """What a model must satisfy to be served.

    Attributes:
        fail_on: Lowest severity that fails vetting.
        allow_incomplete: Whether an artefact with parts that could not be checked may pass.
        waivers: Findings that are accepted.
        passport_days: How long a passport is valid, days.
        load: How the bytes are bound at load time. `sealed` hashes a copy that nobody can change
            and loads that copy; `hash` hashes the file and loads it in place; `mtime` trusts
            size, inode and times since the last full hash. What was used is in the trace.
        unattested: Whether engines whose weights cannot be seen may serve.
    """

    fail_on: Severity = Severity.HIGH
    allow_incomplete: bool = False
    waivers: tuple[Waiver, ...] = ()
    passport_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 90
    load: LoadMode = "sealed"
    unattested: Literal["allow", "refuse"] = "allow"


class Repair(Strict, frozen=True):
    """What is done about an answer without its form, or a sentence without grounds.

    Attributes:
        tidy: Whether a Markdown fence or text around the JSON is taken off; nothing is asked.
        attempts: How often the engine is asked again, with what is wrong.
    """

    tidy: bool = False
    attempts: Annotated[int, msgspec.Meta(ge=0, le=5)] = 1


class Rule(Strict, frozen=True):
    """One rule of the guard.

    Attributes:
        id: Name of the rule; unique.
        detector: Detector id (a file in guard/detectors); required unless it is inherited.
        action: mask (placeholder, reversible for the one request), redact (label, for good), flag,
            annotate (a marker behind it), or block; required unless it is inherited.
        stage: Where it applies: everything a model reads or writes, or only the calls of tools
            that it writes, the results of tools, or the documents that were looked up for it.
        mode: shadow records what the rule would have done and changes nothing.
        labels: Labels it cares about; empty means all of the detector's.
        replacement: What mask puts in the place of a value: a placeholder (`<EMAIL_1>`), or a
            surrogate of the same form (another number with right check digits).
        marker: What annotate puts behind a find and redact in its place; left out, the label in
            brackets, or nothing for invisible text; `{label}` is the label in small letters.
        roles: Roles of input text it applies to; empty means all.
        threshold: Lowest score that counts, 0 to 1, or the name of an operating point of the
            detector.
        scope: The requests it applies to; all when left out.
        on_failure: closed stops the text when the detector fails or times out; open lets it pass
            and says so in the verdict.
        timeout_ms: Longest time for one text, milliseconds.
        config: Settings of the detector.
        repair: What is done before the rule acts, for the form and the grounds of answers.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    detector: str
    action: Action
    stage: Stage = "both"
    mode: Mode = "enforce"
    labels: tuple[str, ...] = ()
    replacement: Replacement = "placeholder"
    marker: Annotated[str, msgspec.Meta(max_length=200)] = ""
    roles: tuple[str, ...] = ()
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | str = 0.5
    scope: Scope = EVERYWHERE
    on_failure: FailMode = "closed"
    timeout_ms: Annotated[int, msgspec.Meta(ge=1)] = 2000
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    repair: Repair | None = None


class GuardRules(Strict, frozen=True):
    """The guard's rules; an empty list is possible and is said loudly wherever it matters.

    Attributes:
        mode: shadow turns every rule into one that only records what it would have done.
        rules: The rules, in the order of reports. With `extends`, one with the id of an inherited
            rule changes the fields it names.
        remove: Ids of inherited rules and exceptions that do not apply.
        exceptions: What rules do not count.
        logprobs: `sampled` passes log-probabilities of cleared tokens without the alternatives
            (which could spell what is withheld; echoed prompts keep the numbers); `full` all.
        cascade: Whether the encoder is not asked about a prompt that a cheaper tier has stopped.
    """

    mode: Mode = "enforce"
    rules: tuple[Rule, ...] = ()
    remove: tuple[str, ...] = ()
    exceptions: tuple[RuleException, ...] = ()
    logprobs: Literal["sampled", "full"] = "sampled"
    cascade: bool = True

    @property
    def enforced(self) -> tuple[Rule, ...]:
        """The rules that decide what becomes of a text."""
        return tuple(r for r in self.rules if self.mode == r.mode == "enforce")

    @property
    def shadowed(self) -> tuple[Rule, ...]:
        """The rules that only record what they would have done."""
        return tuple(r for r in self.rules if not self.mode == r.mode == "enforce")


class Limits(Strict, frozen=True):
    """Limits on one request.

    Attributes:
        request_bytes: Longest body, bytes.
        header_bytes: Longest header block, bytes.
        nesting: Deepest JSON nesting.
        request_seconds: Longest time for one request, seconds.
        body_seconds: Longest time to send the body, seconds.
        concurrent: Most requests at work at once; more are answered 503 with Retry-After.
    """

    request_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 8 * 1024 * 1024
    header_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 64 * 1024
    nesting: Annotated[int, msgspec.Meta(ge=4, le=512)] = 64
    request_seconds: Annotated[float, msgspec.Meta(gt=0)] = 600.0
    body_seconds: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    concurrent: Annotated[int, msgspec.Meta(ge=1)] = 512


class Retention(Strict, frozen=True):
    """What is kept of what was said.

    Attributes:
        content: `encrypted` keeps prompts (masked) and answers under a key per subject; `none`
            keeps nothing.
        days: How long content is kept, days.
    """

    content: Literal["encrypted", "none"] = "encrypted"
    days: Annotated[int, msgspec.Meta(ge=1)] = 30


class Policy(Strict, frozen=True):
    """Everything that is demanded, as one document.

    Attributes:
        version: Version of this format.
        name: What reports and the start of the service call it.
        extends: Policies that this one changes, by name or path (one, or a list of which later
            ones win); what is not said here is theirs.
        admission: What a model must satisfy.
        guard: What the guard looks for, and what becomes of it.
        limits: Limits on one request.
        retention: What is kept of what was said.
        quota: What clients may use, and what it costs.
        overload: What happens when more is asked than an engine can do.
        cache: Answers that are given again to the same request.
        routes: Who answers which call.
        media: What becomes of images and sound.
        gates: What evaluations must show.
    """

    version: Literal[1] = 1
    name: str = "default"
    extends: str | tuple[str, ...] = ()
    admission: Admission = Admission()
    guard: GuardRules = GuardRules()
    limits: Limits = Limits()
    retention: Retention = Retention()
    quota: Quota = Quota()
    overload: Overload = Overload()
    cache: Caching = Caching()
    routes: Routes = Routes()
    media: Media = Media()
    gates: Gates = Gates()

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the policy in force, after inheritance, in canonical form."""
        return digest(self)

    @property
    def admission_digest(self) -> str:
        """`sha256:<hex>` of the admission part: what passports are bound to."""
        return digest(self.admission)


Fetch = Callable[[str, str], tuple[str, str]]
"""From the name of a policy that another one extends, and the source of that other one, to the
source and the text. Raises UsageError with a sentence when there is none."""


def parse_policy(
    text: str,
    *,
    source: str = "policy",
    rules: tuple[Rule, ...] = (),
    fetch: Fetch | None = None,
) -> Policy:
    """Read a policy from YAML, with what it inherits.

    Args:
        text: The YAML document.
        source: Name for error messages.
        rules: Guard rules of a document that says nothing of them and inherits none. To have
            none, a document says `guard: {rules: []}`: guarding nothing must be meant.
        fetch: Finds the policies that it extends; None when it may not extend any.

    Raises:
        UsageError: Not YAML, or not a policy; the message names the line.
    """
    policy: Policy | None = None
    for document in _line_up(read_document(text, source=source), fetch):
        policy = _apply(document, policy, rules)
    if policy is None:
        raise UsageError(f"{source} is empty.")
    return policy


def _line_up(
    document: Document, fetch: Fetch | None, above: tuple[str, ...] = ()
) -> tuple[Document, ...]:
    """The documents that make up a policy, each once, what is extended before what extends it."""
    line: dict[str, Document] = {}
    named = document.plain.get("extends") if isinstance(document.plain, dict) else None
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    for number, name in enumerate(names):
        where = document.at(f"$.extends[{number}]")
        if not isinstance(name, str):
            break  # said with the other mistakes of the document
        if fetch is None:
            raise UsageError(f"{where}: a policy cannot be extended here; write it out.")
        try:
            source, text = fetch(name, document.source)
        except UsageError as error:
            raise UsageError(f"{where}: {error.message}") from None
        if source in (*above, document.source):
            raise UsageError(f"{where}: {name!r} extends this policy in turn; break the circle.")
        parent = read_document(text, source=source)
        for one in _line_up(parent, fetch, (*above, document.source)):
            line.setdefault(one.source, one)
    return (*line.values(), document)


def _apply(document: Document, base: Policy | None, rules: tuple[Rule, ...]) -> Policy:
    """Read one document as a change of the policies before it."""
    if base is None:
        policy = fill(document, Policy)
        silent = "rules" not in (document.plain.get("guard") or {})
        own = rules if silent else policy.guard.rules
        kept: dict[str, Rule] = {}
        excused: dict[str, RuleException] = {}
    else:
        policy = fill(document, Policy, _filled(document.plain, base))
        own = policy.guard.rules
        kept = {rule.id: rule for rule in base.guard.rules}
        excused = {one.id: one for one in base.guard.exceptions}
    known = [*kept, *excused]
    for number, name in enumerate(policy.guard.remove):
        if name not in known:
            where = document.at(f"$.guard.remove[{number}]")
            raise UsageError(f"{where}: there is no rule {name!r} to remove; {meant(name, known)}")
        kept.pop(name, None)
        excused = {key: one for key, one in excused.items() if name not in {key, one.rule}}
    _refuse_twins(document, policy)
    kept |= {rule.id: rule for rule in own}
    excused |= {one.id: one for one in policy.guard.exceptions}
    replace = msgspec.structs.replace
    guard = replace(
        policy.guard, rules=tuple(kept.values()), remove=(), exceptions=tuple(excused.values())
    )
    _check_exceptions(document, guard)
    check_quota(policy.quota, document.at)
    check_routes(policy.routes, document.at_part)
    return replace(policy, extends=(), guard=guard)


def _filled(plain: Any, base: Policy) -> Any:
    """What a document says, filled with what it leaves to the policies it extends."""
    if not isinstance(plain, dict):
        return plain
    given = msgspec.to_builtins(base)
    out = {"name": f"{base.name}, changed", **plain}
    for name in (key for key, value in given.items() if isinstance(value, dict)):
        said = plain.get(name, {})
        if not isinstance(said, dict):
            continue
        inherited = dict(given[name])
        if name == "guard":
            by_id = {rule["id"]: rule for rule in inherited.pop("rules")}
            inherited.pop("exceptions")
            listed = said.get("rules", [])
            if isinstance(listed, list):
                said = {**said, "rules": [_over(by_id, rule) for rule in listed]}
        out[name] = {**inherited, **said}
    return out


def _over(by_id: dict[str, Any], rule: Any) -> Any:
    """A rule over the inherited one of its id, if there is one."""
    name = rule.get("id") if isinstance(rule, dict) else None
    return {**by_id[name], **rule} if isinstance(name, str) and name in by_id else rule


def _refuse_twins(document: Document, policy: Policy) -> None:
    for path, kind in (("rules", "guard rules"), ("exceptions", "exceptions")):
        names = [one.id for one in getattr(policy.guard, path)]
        for number, name in enumerate(names):
            if name in names[:number]:
                where = document.at(f"$.guard.{path}[{number}]")
                raise UsageError(f"{where}: two {kind} are called {name!r}; rename one.")


def _check_exceptions(document: Document, guard: GuardRules) -> None:
    known = {rule.id for rule in guard.rules}
    own = {one["id"] for one in (document.plain.get("guard") or {}).get("exceptions") or ()}
    number = -1
    for one in guard.exceptions:
        number += one.id in own
        where = document.at(f"$.guard.exceptions[{number}]" if one.id in own else "$.guard.remove")
        if one.rule != "*" and one.rule not in known:
            raise UsageError(
                f"{where}: exception {one.id!r} is for rule {one.rule!r}, which is not here; "
                f"{meant(one.rule, known)}"
            )
        if not (one.labels or one.value or one.pattern):
            raise UsageError(
                f"{where}: exception {one.id!r} excuses everything; give it labels, a value or a "
                "pattern, or remove the rule."
            )
        try:
            _ = one.until
        except (ValueError, OverflowError):
            raise UsageError(
                f"{where}: exception {one.id!r} expires on {one.expires!r}, which is no day; "
                "write YYYY-MM-DD."
            ) from None


_MONEY = b'"type":"string","format":"decimal"', b'"type":["number","string"]'  # as people write it


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the policy file."""
    schema = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(Policy)).replace(*_MONEY))
    rule = schema["$defs"]["Rule"]
    must, rule["required"] = rule["required"], ["id"]  # the rest may come from what is extended
    schema["$defs"]["Policy"]["if"] = {"not": {"required": ["extends"]}}
    schema["$defs"]["Policy"]["then"] = {
        "properties": {
            "guard": {"properties": {"rules": {"items": {"required": must}}, "remove": False}}
        }
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
