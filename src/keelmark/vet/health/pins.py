"""What a build fetches, and whether it is pinned by hash.

Source: OpenSSF Scorecard's documentation of Pinned-Dependencies, for Dockerfiles, shell scripts and
requirements files.
"""

from __future__ import annotations

import re

_DOCKERFILE = re.compile(
    r"(^|/)(dockerfile|containerfile)([._-][^/]*)?$|\.dockerfile$", re.IGNORECASE
)
_SHELL = re.compile(r"\.(sh|bash)$", re.IGNORECASE)
_REQUIREMENTS = re.compile(r"(^|/)requirements[^/]*\.txt$", re.IGNORECASE)
_FROM = re.compile(r"^\s*from\s+(?:--\S+\s+)*(\S+)(?:\s+as\s+(\S+))?", re.IGNORECASE | re.MULTILINE)
_CONTINUED = re.compile(r"\\\r?\n")
_PIPED = re.compile(r"\b(curl|wget)\b[^\n|;&]{0,300}\|\s*(sudo\s+)?(ba|z|da)?sh\b")
_PIP = re.compile(r"\bpip3?\s+install\b([^\n;&|]{0,500})")
_NPM = re.compile(r"\bnpm\s+(install|i)\s+(?!--?\S*(?:\s|$))([^\n;&|]{1,200})")
_GO = re.compile(r"\bgo\s+(?:install|get)\s+(\S+)")
_LOCAL = re.compile(r"(^|\s)(-e\s+)?(\.|\./\S*|\S+\.whl|/\S+)(\[\S*\])?(\s|$)")


def unpinned(path: str, text: str) -> tuple[list[str], int]:
    """Return what a file fetches without a hash, and how many things it fetches."""
    if _DOCKERFILE.search(path):
        images, total = _images(text)
        fetched, more = _commands(text)
        return images + fetched, total + more
    if _SHELL.search(path):
        return _commands(text)
    if _REQUIREMENTS.search(path):
        return _requirements(text)
    return [], 0


def _images(text: str) -> tuple[list[str], int]:
    stages: set[str] = set()
    loose: list[str] = []
    total = 0
    for image, stage in _FROM.findall(text):
        if image.lower() not in stages and image.lower() != "scratch":
            total += 1
            if not re.search(r"@sha256:[0-9a-f]{64}$", image):
                loose.append(f"image {image[:80]}")
        stages.add(stage.lower())
    return loose, total


def _commands(text: str) -> tuple[list[str], int]:
    text = re.sub(r"(?m)^\s*#.*$", "", _CONTINUED.sub(" ", text))
    loose = [f"{match[1]} into a shell" for match in _PIPED.finditer(text)]
    total = len(loose)
    for match in _PIP.finditer(text):
        given = match[1]
        if _LOCAL.search(given) and "-r" not in given.split():
            continue
        total += 1
        if "--require-hashes" not in given:
            loose.append(f"pip install{given[:60]}")
    for match in _NPM.finditer(text):
        total += 1
        loose.append(f"npm install {match[2][:60]}")
    for match in _GO.finditer(text):
        total += 1
        if not re.search(r"@(v\d+\.\d+\.\d+|[0-9a-f]{40})", match[1]):
            loose.append(f"go install {match[1][:60]}")
    return loose, total


def _requirements(text: str) -> tuple[list[str], int]:
    lines = [line.strip() for line in _CONTINUED.sub(" ", text).splitlines()]
    named = [line for line in lines if line and not line.startswith(("#", "-"))]
    loose = [line.split(";")[0][:60] for line in named if "--hash=" not in line]
    # One file is one thing that is fetched: a long list must not drown everything else.
    return ([f"{len(loose)} of {len(named)} requirements"] if loose else []), int(bool(named))
