"""Names and versions of packages, compared as their ecosystem compares them.

Sources: PEP 440 (through `packaging`), Semantic Versioning 2.0.0 section 11, and llama.cpp's build
tags (`b7824`), which count commits.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

MAX_VERSION = 200
"""Longest version that is looked at, characters."""

_SEMVER = re.compile(
    r"v?(\d{1,30})(?:\.(\d{1,30}))?(?:\.(\d{1,30}))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?"
)
_BUILD = re.compile(r"b?(\d{1,12})(?:-[0-9a-f]{7,40})?")
_PURL = re.compile(r"pkg:([a-z0-9.+-]+)/([^@?#]+)(?:@([^?#]+))?")
_GITHUB = re.compile(
    r"https?://(?:www\.)?github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", re.IGNORECASE
)

_ECOSYSTEMS = {
    "pypi": "PyPI",
    "npm": "npm",
    "golang": "Go",
    "cargo": "crates.io",
    "maven": "Maven",
    "gem": "RubyGems",
    "nuget": "NuGet",
    "composer": "Packagist",
    "github": "GitHub",
}


class Package(NamedTuple):
    """A package within its ecosystem, its name normalised.

    Attributes:
        ecosystem: As OSV spells it, without a `:release` suffix; `GitHub` for projects that are
            known by their repository only.
        name: Normalised name.
    """

    ecosystem: str
    name: str

    def __str__(self) -> str:
        return self.name if self.ecosystem == "PyPI" else f"{self.ecosystem}:{self.name}"


LLAMA_CPP = Package("GitHub", "ggml-org/llama.cpp")


def package(ecosystem: str, name: str) -> Package:
    """Return a package with its name as its ecosystem compares it."""
    ecosystem = ecosystem.partition(":")[0]
    if ecosystem == "PyPI":
        return Package(ecosystem, canonicalize_name(name))
    if ecosystem == "GitHub":
        return Package(ecosystem, _moved(name.lower()))
    return Package(ecosystem, name)


def _moved(name: str) -> str:
    return LLAMA_CPP.name if name == "ggerganov/llama.cpp" else name


def of_repository(url: str) -> Package | None:
    """Return the package that a GitHub repository stands for."""
    found = _GITHUB.fullmatch(url.strip())
    return package("GitHub", found[1]) if found else None


def of_purl(purl: str) -> tuple[Package, str] | None:
    """Return package and version of a package URL, or None for what it does not name.

    Source: the package URL specification; percent-encoding is undone only for `@` and `/`.
    """
    found = _PURL.fullmatch(purl.partition("#")[0].partition("?")[0])
    if found is None or found[1] not in _ECOSYSTEMS:
        return None
    name = re.sub("%40", "@", re.sub("%2[fF]", "/", found[2]))
    if found[1] == "maven":
        name = name.replace("/", ":", 1)
    return package(_ECOSYSTEMS[found[1]], name), found[3] or ""


def order_of(where: Package, kind: str) -> Callable[[str], Any] | None:
    """Return what turns a version into something that sorts as the ecosystem sorts it.

    Args:
        where: The package.
        kind: Type of the range, `ECOSYSTEM` or `SEMVER`.

    Returns:
        A function that raises ValueError for what is no version; None when the order is unknown.
    """
    if kind == "SEMVER" or where.ecosystem in {"npm", "Go", "crates.io"}:
        return semver
    if where == LLAMA_CPP:
        return build
    if where.ecosystem in {"PyPI", "GitHub"}:
        return pep440
    return None


@functools.lru_cache(maxsize=65536)
def pep440(text: str) -> Version:
    """Return a version by PEP 440, without its local part, as OSV's ranges mean it.

    Raises:
        ValueError: It is none.
    """
    if len(text) > MAX_VERSION:
        raise ValueError("too long for a version")
    try:
        version = Version(text)
    except InvalidVersion as error:
        raise ValueError(str(error)) from None
    return Version(version.public)


@functools.lru_cache(maxsize=65536)
def semver(text: str) -> tuple[Any, ...]:
    """Return a sort key by Semantic Versioning; missing parts count as 0.

    Raises:
        ValueError: It is none.
    """
    found = _SEMVER.fullmatch(text) if len(text) <= MAX_VERSION else None
    if found is None:
        raise ValueError(f"{text[:40]!r} is no semantic version")
    core = tuple(int(part or 0) for part in found.groups()[:3])
    if not found[4]:
        return (*core, 1, ())
    parts = tuple(
        (0, int(part), "") if part.isdigit() and len(part) <= 30 else (1, 0, part)
        for part in found[4].split(".")
    )
    return (*core, 0, parts)


def build(text: str) -> int:
    """Return the number of a llama.cpp build (`b7824`, `7824`, `b7824-1a2b3c4`).

    Raises:
        ValueError: It is none.
    """
    found = _BUILD.fullmatch(text) if len(text) <= MAX_VERSION else None
    if found is None:
        raise ValueError(f"{text[:40]!r} is no build of llama.cpp")
    return int(found[1])


def same(where: Package, one: str, other: str) -> bool:
    """Whether two spellings name one version (`1.0` and `1.0.0`, `b7824` and `7824`)."""
    if one == other:
        return True
    order = order_of(where, "ECOSYSTEM")
    if order is None:
        return False
    try:
        return bool(order(one) == order(other))
    except ValueError:
        return False
