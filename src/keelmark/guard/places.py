"""Where a text stands: names of stages and roles."""

from __future__ import annotations

from keelmark.core.errors import UsageError
from keelmark.guard.engine import ROLES, STAGES


def place(stage: str, role: str) -> tuple[str, str]:
    """The stage and role of a text by the name of the stage and the role of an input text.

    Raises:
        UsageError: There is no such stage or role.
    """
    if stage not in STAGES:
        known = ", ".join(STAGES)
        raise UsageError(f"There is no stage {stage!r}; use one of: {known}.")
    if role not in ROLES:
        known = ", ".join(sorted(ROLES))
        raise UsageError(f"There is no role {role!r}; use one of: {known}.")
    side, of = STAGES[stage]
    return side, of or (role if side == "input" else "")


def is_answer(name: str) -> bool:
    """Whether what a model writes in a channel is said to the user."""
    return name.partition(".")[2].partition("[")[0] in {"content", "refusal", "text", ""}


def channel_role(name: str) -> str:
    """Return `tool_call` for a channel in which a model writes to a tool, "" for others."""
    return "tool_call" if ".tool_calls" in name or ".function_call" in name else ""
