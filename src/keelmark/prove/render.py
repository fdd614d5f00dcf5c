"""A report as HTML, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from keelmark.core.errors import UsageError
from keelmark.prove.html import to_html
from keelmark.prove.markdown import to_markdown
from keelmark.prove.report import Report


def to_json(report: Report) -> str:
    """Return the report as indented JSON; the names are those of `keelmark.prove.report`."""
    return msgspec.json.format(msgspec.json.encode(report, order="deterministic")).decode() + "\n"


FORMS: dict[str, Callable[[Report], str]] = {
    "html": to_html,
    "md": to_markdown,
    "json": to_json,
}


def render(report: Report, form: str) -> str:
    """Return the report as text.

    Args:
        report: The report.
        form: html, md or json.

    Raises:
        UsageError: There is no such form.
    """
    if form not in FORMS:
        raise UsageError(f"There is no form {form!r}; choose from {', '.join(FORMS)}.")
    return FORMS[form](report)
