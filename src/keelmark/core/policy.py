"""The policy: what is demanded. One YAML file, typed here, with a published JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import yaml

from keelmark.core.canonical import digest
from keelmark.core.errors import UsageError
from keelmark.core.findings import Severity
from keelmark.core.yamlfile import Strict, read_yaml

Stage = Literal["input", "output", "both"]
Action = Literal["mask", "redact", "block", "flag"]
FailMode = Literal["closed", "open"]
LoadMode = Literal["sealed", "hash", "mtime"]


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


class Rule(Strict, frozen=True):
    """One rule of the guard.

    Attributes:
        id: Name of the rule; unique.
        detector: Detector id (a file in guard/detectors).
        action: mask (placeholder, reversible for the one request), redact (label, for good),
            block, or flag.
        stage: Where it applies.
        labels: Labels it cares about; empty means all of the detector's.
        roles: Roles of input text it applies to; empty means all.
        threshold: Lowest score that counts, 0 to 1.
        on_failure: closed stops the text when the detector fails or times out; open lets it pass
            and says so in the verdict.
        timeout_ms: Longest time for one text, milliseconds.
        config: Settings of the detector.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    detector: str
    action: Action
    stage: Stage = "both"
    labels: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    on_failure: FailMode = "closed"
    timeout_ms: Annotated[int, msgspec.Meta(ge=1)] = 2000
    config: dict[str, Any] = msgspec.field(default_factory=dict)


class GuardRules(Strict, frozen=True):
    """The guard's rules; an empty list is possible and is said loudly wherever it matters.

    Attributes:
        rules: The rules, in the order of reports.
        logprobs: `sampled` passes the log-probabilities of cleared tokens and drops the
            alternatives (which could spell what the guard withholds); `full` passes everything.
    """

    rules: tuple[Rule, ...] = ()
    logprobs: Literal["sampled", "full"] = "sampled"


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
        admission: What a model must satisfy.
        guard: What the guard looks for, and what becomes of it.
        limits: Limits on one request.
        retention: What is kept of what was said.
    """

    version: Literal[1] = 1
    name: str = "default"
    admission: Admission = Admission()
    guard: GuardRules = GuardRules()
    limits: Limits = Limits()
    retention: Retention = Retention()

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the whole policy in canonical form."""
        return digest(self)

    @property
    def admission_digest(self) -> str:
        """`sha256:<hex>` of the admission part: what passports are bound to."""
        return digest(self.admission)


def parse_policy(text: str, *, source: str = "policy", rules: tuple[Rule, ...] = ()) -> Policy:
    """Read a policy from YAML.

    Args:
        text: The YAML document.
        source: Name for error messages.
        rules: Guard rules of a document that says nothing of them. To have none, a document
            says `guard: {rules: []}`: guarding nothing must be meant.

    Raises:
        UsageError: Not YAML, or not a policy; the message names the line.
    """
    policy = read_yaml(text, Policy, source=source)
    guard = (yaml.safe_load(text) or {}).get("guard") or {}
    if "rules" not in guard:
        structs = msgspec.structs
        policy = structs.replace(policy, guard=structs.replace(policy.guard, rules=rules))
    seen: set[str] = set()
    for rule in policy.guard.rules:
        if rule.id in seen:
            raise UsageError(f"{source}: two guard rules are called {rule.id!r}; rename one.")
        seen.add(rule.id)
    return policy


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the policy file."""
    schema = msgspec.json.schema(Policy)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
