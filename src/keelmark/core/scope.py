"""Where a rule applies (whose request it is, and to whom it goes), and what it does not count."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, NamedTuple

import msgspec

from keelmark.core.yamlfile import Strict


class Origin(NamedTuple):
    """Where a request comes from and goes to; "" is what is not known.

    Attributes:
        key: Id of the API key.
        key_name: What the owner calls the key.
        model: Name asked for.
        engine: Engine id.
        operation: chat, text_completion, embeddings, moderation.
        team: Team of the key; where the key is known, "" says that it is of none.
        attested: Whether the weights of the engine can be seen; None is what is not known.
    """

    key: str = ""
    key_name: str = ""
    model: str = ""
    engine: str = ""
    operation: str = ""
    team: str = ""
    attested: bool | None = None


NOWHERE = Origin()


class Scope(Strict, frozen=True):
    """The requests that a rule or an exception is for; what is left out restricts nothing.

    Each is a list of names in which `*` and `?` stand for any characters and any one.

    Attributes:
        keys: API keys, by id or by name.
        teams: Teams of the keys; a key of no team is in none of them.
        models: Models, as clients ask for them.
        engines: Engines, by id; `llama` is also every `llama:NAME` of several local models.
        attested: Whether the weights of the engine can be seen: false is for engines that somebody
            else runs.
        operations: chat, text_completion, embeddings, moderation.
        languages: Languages of what is written around something found (ISO 639-1: en, de), without
            wildcards. Where the language does not show, a rule applies and an exception does not
            hold.
    """

    keys: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    attested: bool | None = None
    operations: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def covers(self, origin: Origin, *, unknown: bool) -> bool:
        """Say whether a request is in the scope; languages are asked for where something is found.

        Args:
            origin: Where the request comes from.
            unknown: What to say of a part that is not known: a rule applies then, an exception
                does not.
        """
        if self.teams and origin.key and not origin.team:
            return False
        if self.attested is not None and origin.attested is not None:
            if self.attested != origin.attested:
                return False
        elif self.attested is not None and not unknown:
            return False
        asked = (
            (self.keys, (origin.key, origin.key_name)),
            (self.teams, (origin.team,)),
            (self.models, (origin.model,)),
            (self.engines, (origin.engine, origin.engine.partition(":")[0])),
            (self.operations, (origin.operation,)),
        )
        return all(_covered(names, found, unknown=unknown) for names, found in asked if names)


def _covered(names: tuple[str, ...], found: tuple[str, ...], *, unknown: bool) -> bool:
    known = [one for one in found if one]
    if not known:
        return unknown
    patterns = [name.replace("[", "[[]") for name in names]  # no sets of characters
    return any(fnmatchcase(one, pattern) for one in known for pattern in patterns)


EVERYWHERE = Scope()


class RuleException(Strict, frozen=True):
    """Something that a rule does not count, for a reason and until a date.

    Attributes:
        id: Name of the exception; unique.
        rule: Rule that it is an exception to; "*" for all.
        reason: Why.
        author: Who answers for it: a name, or the number of a ticket.
        expires: Last day it holds (UTC), YYYY-MM-DD; afterwards it does nothing.
        labels: Labels it is about; empty means all.
        value: Keyed hash of the one value it is about (`keelmark policy hash` makes it).
        pattern: What the whole value looks like, without regard to case and white space; `*`
            stands for any characters, `?` for any one.
        scope: The requests it holds for; all when left out.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    rule: str
    reason: Annotated[str, msgspec.Meta(min_length=1)]
    author: Annotated[str, msgspec.Meta(min_length=1)]
    expires: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    labels: tuple[str, ...] = ()
    value: Annotated[str, msgspec.Meta(pattern=r"^(hmac-sha256:[0-9a-f]{64})?$")] = ""
    pattern: str = ""
    scope: Scope = EVERYWHERE

    @property
    def until(self) -> float:
        """Unix time from which it does nothing, seconds."""
        after = date.fromisoformat(self.expires) + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=UTC).timestamp()
