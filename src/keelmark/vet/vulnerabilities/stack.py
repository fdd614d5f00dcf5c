"""What will load the model: packages and versions, from this installation or from a file.

Sources: PEP 508 and pip's requirements format, PEP 751 (pylock.toml), the lock files of uv and
Poetry, and CycloneDX JSON (1.2 to 1.7).
"""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from keelmark.core.errors import UsageError
from keelmark.vet.vulnerabilities.versions import (
    LLAMA_CPP,
    MAX_VERSION,
    Package,
    of_purl,
    package,
)

MAX_FILE = 64 * 1024 * 1024
"""Largest file that is read, bytes."""

_MAX_COMPONENTS = 100_000
_CONTINUED = re.compile(r"\\\r?\n")
_COMMENT_OR_HASHES = re.compile(r"(?:^|\s)#.*|\s--(?:hash|config-settings?)[ =]\S+")
_XLLAMACPP = re.compile(r"\d{4}\.\d{1,2}\.(\d{3,7})(?:\..*)?")


class Stack(NamedTuple):
    """Packages and their versions.

    Attributes:
        versions: Sorted by package; one package may stand in more than one version.
        source: What it was read from, a phrase.
        unknown: What names no exact version, and why; these are not checked.
        declared: Whether the user named it.
    """

    versions: tuple[tuple[Package, str], ...]
    source: str
    unknown: tuple[str, ...] = ()
    declared: bool = False


@functools.lru_cache(maxsize=8)
def installed(engines: tuple[tuple[str, str], ...], root: str = "keelmark") -> Stack:
    """Return a distribution, what it needs, and the engines.

    What else lies in the same environment is not its stack and is left out.

    Args:
        engines: Engine package and version, as the machine has them.
        root: Distribution to begin with.
    """
    found: dict[Package, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(root, extra) for extra in ("", *_extras(root))]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            one = distribution(name)
        except PackageNotFoundError:
            continue
        found[package("PyPI", name)] = one.version
        waiting.extend(_needs(one, extra))
    for engine, version in engines:
        found[package("PyPI", engine)] = version
    return Stack(_sorted(found.items()), "this Keelmark")


def _extras(name: str) -> list[str]:
    try:
        return distribution(name).metadata.get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return []


def _needs(one: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    for text in one.requires or ():
        try:
            need = Requirement(text)
        except InvalidRequirement:
            continue
        if need.marker is None or need.marker.evaluate({"extra": extra}):
            yield from ((canonicalize_name(need.name), more) for more in ("", *need.extras))


def _sorted(pairs: Iterable[tuple[Package, str]]) -> tuple[tuple[Package, str], ...]:
    pairs = set(pairs)
    engines = {
        (LLAMA_CPP, found)
        for where, version in pairs
        if where == Package("PyPI", "xllamacpp") and (found := llama_cpp_build(version))
    }
    return tuple(sorted(pairs | engines))


def llama_cpp_build(version: str) -> str:
    """Return the llama.cpp build inside a version of `xllamacpp`, or "".

    The wheel says "build 0, commit unknown" of itself; the third part of its version is the number
    of the llama.cpp tag that it carries (2026.10.11549 carries b11549).
    """
    found = _XLLAMACPP.fullmatch(version)
    return f"b{found[1]}" if found else ""


def read(path: Path) -> Stack:
    """Read a requirements file, a lock file or a CycloneDX file.

    Raises:
        UsageError: It is missing, too large, or none of these.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check the path.") from None
    if len(data) > MAX_FILE:
        raise UsageError(f"{path} is larger than {MAX_FILE >> 20} MiB; name a smaller lock file.")
    try:
        text = data.decode("utf-8-sig")
        if text.lstrip().startswith("{"):
            pairs, unknown = _cyclonedx(json.loads(text))
        elif path.suffix in {".toml", ".lock"} and "[[package" in text:
            pairs, unknown = _lock(tomllib.loads(text))
        else:
            pairs, unknown = _requirements(text)
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{path} is no requirements file, lock file or CycloneDX file ({str(error)[:80]})."
        ) from None
    if not pairs:
        raise UsageError(
            f"{path} pins no package to a version; give the file that lists what is installed."
        )
    return Stack(_sorted(pairs), path.name, tuple(sorted(set(unknown))), declared=True)


def _requirements(text: str) -> tuple[list[tuple[Package, str]], list[str]]:
    pairs: list[tuple[Package, str]] = []
    unknown: list[str] = []
    for raw in _CONTINUED.sub(" ", text).splitlines():
        line = _COMMENT_OR_HASHES.sub("", raw).strip()
        if not line or line.startswith(("-i ", "--index-url", "--extra-index-url")):
            continue
        if line.startswith("pkg:"):
            found = of_purl(line)
            _sort(found[0] if found else None, found[1] if found else "", line, pairs, unknown)
            continue
        if line.startswith("-"):
            unknown.append(f"{line[:60]} is an option that is not followed")
            continue
        try:
            need = Requirement(line)
        except InvalidRequirement:
            unknown.append(f"{line[:60]} is no requirement by name")
            continue
        exact = [s.version for s in need.specifier if s.operator in {"==", "==="}]
        version = exact[0] if exact and "*" not in exact[0] else ""
        _sort(package("PyPI", need.name), version, need.name, pairs, unknown)
    return pairs, unknown


def _lock(parsed: dict[str, Any]) -> tuple[list[tuple[Package, str]], list[str]]:
    pairs: list[tuple[Package, str]] = []
    unknown: list[str] = []
    for item in [*parsed.get("package", ()), *parsed.get("packages", ())]:
        local = set(item.get("source", {})) & {"editable", "virtual"}
        if not local:
            name = str(item["name"]) if "name" in item else ""
            where = package("PyPI", name) if name else None
            _sort(where, str(item.get("version", "")), name or "a package", pairs, unknown)
    return pairs, unknown


def _cyclonedx(parsed: dict[str, Any]) -> tuple[list[tuple[Package, str]], list[str]]:
    if parsed.get("bomFormat") != "CycloneDX":
        raise ValueError("it is JSON but no CycloneDX")
    pairs: list[tuple[Package, str]] = []
    unknown: list[str] = []
    waiting = [*parsed.get("components", ())]
    seen = 0
    while waiting:
        item = waiting.pop()
        seen += 1
        if seen > _MAX_COMPONENTS:
            raise ValueError("it has too many components")
        waiting.extend(item.get("components", ()))
        if item.get("type") in {"file", "data", "machine-learning-model"}:
            continue
        name, version = str(item.get("name", "")), str(item.get("version", ""))
        found = of_purl(str(item.get("purl", "")))
        where = found[0] if found else None
        _sort(where, (found[1] if found else "") or version, name, pairs, unknown)
    return pairs, unknown


def _sort(
    where: Package | None,
    version: str,
    name: str,
    pairs: list[tuple[Package, str]],
    unknown: list[str],
) -> None:
    name = canonicalize_name(name[:60]) if where else name[:60]
    if where is None:
        unknown.append(f"{name or 'a component'} has no package URL that says what it is")
    elif not version or len(version) > MAX_VERSION:
        unknown.append(f"{name} is not pinned to one version")
    else:
        pairs.append((where, version))
