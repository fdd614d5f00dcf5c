"""Random strings that match the patterns of the guard's tables."""

import random
import re
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any


def written(pattern: str, chance: random.Random) -> str:
    """Return a random string of the pattern's shape; look-arounds are not looked at."""
    return _written(_parser.parse(pattern, re.ASCII), chance)


def _written(parts: Any, chance: random.Random) -> str:
    out = ""
    for kind, value in parts:
        match str(kind):
            case "LITERAL":
                out += chr(value)
            case "IN":
                out += chance.choice(_members(value))
            case "MAX_REPEAT":
                low, high, part = value
                out += "".join(_written(part, chance) for _ in range(chance.randint(low, high)))
            case "SUBPATTERN":
                out += _written(value[3], chance)
            case "BRANCH":
                out += _written(chance.choice(value[1]), chance)
            case "ASSERT" | "ASSERT_NOT":
                pass
            case other:
                raise AssertionError(other)
    return out


def _members(parts: Any) -> str:
    members = ""
    for kind, value in parts:
        if kind is _constants.LITERAL:
            members += chr(value)
        elif kind is _constants.RANGE:
            members += "".join(map(chr, range(value[0], value[1] + 1)))
        else:
            members += "0123456789"
    return members
