"""Answers that are to be JSON: whether they are, and whether they fit the schema."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.form import Form
from keelmark.guard._documents import NotJsonError, read
from keelmark.guard._schemas import LONGEST, Schema, SchemaError, schema_of
from keelmark.guard.contract import BaseDetector, Example, Hit, Request

_CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the detector for structured answers.

    Attributes:
        schema: A JSON Schema that every answer has to fit, or the path of a file with one; `true`
            demands any JSON. Left out, an answer has to fit what its request asks for
            (`response_format`), and is free when it asks for nothing.
        request: Whether answers also have to fit what their request asks for.
        calls: Whether the arguments of calls have to fit the `parameters` of their tool.
    """

    schema: dict[str, Any] | bool | str | None = None
    request: bool = True
    calls: bool = True


class Detector(BaseDetector):
    """JSON that is none, that ends too early, or that does not fit the schema.

    A text is judged when it is whole, as it leaves and as it is written. Names given twice in an
    object are no valid JSON, because readers differ in which value they take. `format` is checked
    (dates, e-mail addresses ...). Schemas of draft 2020-12, 2019-09, 7 and 6; a reference out of
    the schema, a pattern that looks around, and a schema beyond the limits of size are refused.
    """

    title = "Structured answers: JSON and its schema"
    version = "1"
    labels: ClassVar[tuple[str, ...]] = ("INVALID_JSON", "TRUNCATED_JSON", "SCHEMA_MISMATCH")
    tags = ("owasp:llm05",)
    raw = True
    whole = True
    Config = Settings
    config: Settings

    _asked = Request(form=Form(_CITY))
    examples = (
        Example('{"city": "Bern", "people": "many"}', ("SCHEMA_MISMATCH",), "a type", _asked),
        Example('{"people": 3}', ("SCHEMA_MISMATCH",), "a name is missing", _asked),
        Example('{"city": "Bern", "zip": 3000}', ("SCHEMA_MISMATCH",), "one too many", _asked),
        Example("Bern is a city.", ("INVALID_JSON",), "prose", _asked),
        Example('```json\n{"city": "Bern"}\n```', ("INVALID_JSON",), "a fence", _asked),
        Example('{"city": "Ber', ("TRUNCATED_JSON",), "cut", _asked),
        Example(
            '{"city": "Bern", "city": "Rome"}', ("INVALID_JSON",), "evasion: a name twice", _asked
        ),
        Example(
            '{"city": "B\\u0065rn", "peop\\u006ce": "x"}',
            ("SCHEMA_MISMATCH",),
            "evasion: escapes",
            _asked,
        ),
        Example(
            '{"city": NaN}', ("INVALID_JSON",), "a schema of the policy", config={"schema": {}}
        ),
        Example('{"city": "Bern"}', (), "clean", _asked),
        Example(' {"city": "a \\"b\\" {", "people": 1e3}\n', (), "look-alike: brackets", _asked),
        Example('{"city": "Bern', (), "look-alike: nothing was asked for"),
    )

    def __init__(
        self, config: Settings | None = None, schemas: tuple[Schema, ...] | None = None
    ) -> None:
        super().__init__(config)
        own = self.config.schema
        if schemas is None:
            schemas = () if own is None else (_configured(own),)
        self._schemas = schemas

    def for_request(self, request: Request) -> Detector:
        """See BaseDetector.

        Raises:
            SchemaError: The request asks for a schema that is refused.
        """
        form = request.form
        if form is None:
            return self
        own = () if form.tool else self._schemas
        wanted = self.config.calls if form.tool else self.config.request
        return Detector(self.config, (*own, schema_of(form.schema)) if wanted else own)

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector: one hit, the whole text.

        Raises:
            KeelmarkError: The text is too long, or it would take too long to say.
        """
        if start or not text or not self._schemas:
            return []
        try:
            value = read(text)
        except NotJsonError as error:
            label = "TRUNCATED_JSON" if error.cut else "INVALID_JSON"
            return [Hit(label, 1.0, 0, len(text), error.message)]
        for schema in self._schemas:
            if misfits := schema.misfits(value):
                first = misfits[0]
                reason = f"breaks `{first.keyword}`, {first.depth} levels down"
                return [Hit("SCHEMA_MISMATCH", 1.0, 0, len(text), reason)]
        return []

    def explain(self, text: str) -> tuple[str, ...]:
        """Return what is wrong with a whole text, for who may see it and the schema."""
        try:
            value = read(text)
        except NotJsonError as error:
            return (f"it is not valid JSON: {error.message}",)
        found = (misfit.said for schema in self._schemas for misfit in schema.misfits(value))
        return tuple(dict.fromkeys(found))

    def quiet(self, text: str, start: int) -> bool:  # noqa: ARG002
        """See BaseDetector: nothing is demanded."""
        return not self._schemas

    def open_from(self, text: str, start: int = 0) -> int:
        """Return the start: the next character may break what came before."""
        return start if self._schemas else len(text)


def _configured(given: Any) -> Schema:
    """The schema of a policy: written there, or in a file.

    Raises:
        UsageError: It cannot be read, or is refused.
    """
    if not isinstance(given, str):
        return schema_of(given)
    try:
        raw = Path(given).read_bytes()
    except OSError as error:
        why = error.strerror or "no file"
        raise UsageError(f"the schema {given} cannot be read: {why}; check the path") from None
    if len(raw) > LONGEST:
        raise UsageError(f"the schema {given} is longer than {LONGEST // 1024} KiB")
    try:
        return Schema(raw)
    except SchemaError as error:
        raise UsageError(f"{given}: {error.message}") from None
