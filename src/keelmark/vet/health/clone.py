"""What is read of a clone: files, commits, tags, and the text of files that checks look at."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from keelmark.core.errors import CouldNotCheckError, UnavailableError
from keelmark.vet.health.git import Git, beside, git_folder

MAX_FILES = 200_000
MAX_COMMITS = 20_000
MAX_TAGS = 2_000
MAX_BLOB = 1024 * 1024
"""Longest file that is read, bytes."""


class Commit(NamedTuple):
    """One commit.

    Attributes:
        when: Committed at, seconds since 1970.
        author: Name and address of its author, in small letters, for counting only.
        signed: Whether it carries a signature; whose it is was not verified.
        merge: Whether it has several parents.
    """

    when: int
    author: str
    signed: bool
    merge: bool


class Tag(NamedTuple):
    """One tag.

    Attributes:
        name: Its name.
        when: Made at, or the commit's time for a tag that is only a name; seconds since 1970.
        signed: Whether it carries a signature, which was not verified.
    """

    name: str
    when: int
    signed: bool


class Repository(NamedTuple):
    """What was read of a clone.

    Attributes:
        files: Paths at its head, sorted.
        blobs: Path to object id and size, bytes; for regular files.
        links: Paths that are symbolic links or submodules.
        commits: Newest first.
        tags: Newest first.
        shallow: Whether the clone has only a part of the history.
        cut: What was left out because of a limit, phrases.
        contents: Path to text of those files that checks look at.
    """

    files: tuple[str, ...]
    blobs: dict[str, tuple[str, int]]
    links: frozenset[str]
    commits: tuple[Commit, ...]
    tags: tuple[Tag, ...]
    shallow: bool
    cut: tuple[str, ...]
    contents: dict[str, bytes]

    def text(self, path: str) -> str:
        """Return the text of a file that was read, "" for any other."""
        return self.contents.get(path, b"").decode("utf-8", "replace")


_WANTED = re.compile(
    r"""^(
      (\.github/|\.gitlab/|docs/)?security\.(md|adoc|rst|txt|markdown)
    | \.github/workflows/[^/]+\.ya?ml
    | (\.github/)?(dependabot\.ya?ml|renovate\.json5?|\.?renovaterc(\.json)?)
    | \.gitlab/renovate\.json5?
    | \.pyup\.yml | \.lift\.toml | \.lift/config\.toml
    | (licen[cs]es?|copying|copyright|unlicense)([._-][^/]*)? | licenses/[^/]+
    | ([^/]+/){0,4}(dockerfile|containerfile)([._-][^/]*)? | ([^/]+/){0,4}[^/]+\.dockerfile
    | ([^/]+/){0,4}[^/]+\.(sh|bash)
    | ([^/]+/){0,3}(requirements[^/]*\.(txt|lock)|(uv|poetry)\.lock|py(lock[^/]*|project)\.toml)
    | setup\.(py|cfg) | \.pre-commit-config\.ya?ml | go\.mod | cargo\.toml | package\.json
    | ([^/]+/){0,6}[^/]*_test\.go
    | ([^/]+/){0,6}[^/]*fuzz[^/]*
    | \.clusterfuzzlite/[^/]+ | \.onefuzz
    )$""",
    re.VERBOSE | re.IGNORECASE,
)
_MOST_READ = 2_000
_MOST_BYTES = 64 * 1024 * 1024


def opened(path: Path) -> Repository:
    """Read a clone.

    Raises:
        UsageError: There is no git clone at the path.
        UnavailableError: There is no git command.
        CouldNotCheckError: The repository cannot be read within the limits.
    """
    where = git_folder(path)
    return _opened(where, (where / "HEAD").stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _opened(where: Path, _: int) -> Repository:
    if shutil.which("git") is None:
        raise UnavailableError("The health of a project needs the `git` command: install git.")
    with beside(where) as (git, head):
        cut: list[str] = []
        blobs, links = _tree(git, head, cut)
        commits = _commits(git, head, cut)
        tags = _tags(git, cut)
        contents = _contents(git, blobs, cut)
    return Repository(
        tuple(sorted({*blobs, *links})),
        blobs,
        frozenset(links),
        tuple(commits),
        tuple(tags),
        (where / "shallow").is_file(),
        tuple(cut),
        contents,
    )


def _tree(git: Git, head: str, cut: list[str]) -> tuple[dict[str, tuple[str, int]], set[str]]:
    blobs: dict[str, tuple[str, int]] = {}
    links: set[str] = set()
    for entry in git.run("ls-tree", "-r", "-z", "-l", "--full-tree", head).split(b"\0"):
        about, _, raw = entry.partition(b"\t")
        parts = about.split()
        if len(parts) != 4:
            continue
        if len(blobs) >= MAX_FILES:
            cut.append(f"files after the first {MAX_FILES}")
            break
        path = raw.decode("utf-8", "replace")
        if parts[0] in {b"120000", b"160000"}:
            links.add(path)
        elif parts[3].isdigit():
            blobs[path] = (parts[2].decode(), int(parts[3]))
    return blobs, links


def _commits(git: Git, head: str, cut: list[str]) -> list[Commit]:
    """Return the newest commits, from their raw headers: no name is mapped, no key is asked."""
    for most in (MAX_COMMITS, MAX_COMMITS // 20):
        try:
            raw = git.run("rev-list", "--header", f"--max-count={most}", head)
        except CouldNotCheckError:
            if most < MAX_COMMITS:
                raise
            continue
        found = [commit for one in raw.split(b"\0") if (commit := _commit(one))]
        if len(found) >= most:
            cut.append(f"commits before the newest {most}")
        return sorted(found, key=lambda commit: -commit.when)
    return []


def _commit(raw: bytes) -> Commit | None:
    header, _, _ = raw.partition(b"\n\n")
    lines = header.split(b"\n")
    author = next((line[7:] for line in lines if line.startswith(b"author ")), b"")
    maker = next((line for line in lines if line.startswith(b"committer ")), b"")
    when = maker.rsplit(b" ", 2)
    if len(when) != 3 or not when[1].isdigit() or len(when[1]) > 11:
        return None
    name = author.rpartition(b">")[0].lower().decode("utf-8", "replace")
    signed = any(line.startswith((b"gpgsig ", b"gpgsig-sha256 ")) for line in lines)
    merge = sum(line.startswith(b"parent ") for line in lines) > 1
    return Commit(int(when[1]), name, signed, merge)


def _tags(git: Git, cut: list[str]) -> list[Tag]:
    shape = "%(refname)%00%(creatordate:unix)%00%(if)%(contents:signature)%(then)1%(else)0%(end)"
    raw = git.run(
        "for-each-ref",
        "--sort=-creatordate",
        f"--count={MAX_TAGS + 1}",
        f"--format={shape}",
        "refs/tags",
    )
    found = []
    for line in raw.splitlines():
        parts = line.split(b"\0")
        if len(parts) == 3 and parts[1].isdigit():
            name = parts[0].removeprefix(b"refs/tags/").decode("utf-8", "replace")
            found.append(Tag(name, int(parts[1]), parts[2] == b"1"))
    if len(found) > MAX_TAGS:
        cut.append(f"tags before the newest {MAX_TAGS}")
    return found[:MAX_TAGS]


def _contents(git: Git, blobs: dict[str, tuple[str, int]], cut: list[str]) -> dict[str, bytes]:
    """Read the files that checks look at, in one run."""
    chosen: list[tuple[str, str]] = []
    left = _MOST_BYTES
    for path in sorted(blobs, key=lambda path: (path.count("/"), path)):
        sha, size = blobs[path]
        if _WANTED.match(path) and len(chosen) < _MOST_READ and size <= min(MAX_BLOB, left):
            chosen.append((path, sha))
            left -= size
        elif _WANTED.match(path):
            cut.append(f"the content of {path[:80]}")
    raw = git.run(
        "cat-file",
        "--batch",
        given="".join(f"{sha}\n" for _, sha in chosen).encode(),
        limit=2 * _MOST_BYTES,
    )
    return dict(_batch(raw, [path for path, _ in chosen]))


def _batch(raw: bytes, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    at = 0
    for path in paths:
        end = raw.find(b"\n", at)
        if end < 0:
            return
        parts = raw[at:end].split()
        at = end + 1
        if len(parts) == 3 and parts[1] == b"blob":
            size = int(parts[2])
            yield path, raw[at : at + size]
            at += size + 1
