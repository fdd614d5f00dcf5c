"""The process in which everything hostile is read: no writing, no network, little memory.

Started by `examiner` as `python -I -m keelmark.vet.worker`, one end of a Unix socket as standard
input. A request is a line of JSON with the open file beside it; the answers are lines of JSON:
`{"start": check}`, `{"result": ...}` per check, `{"end": true}`. It opens no file by name.

Guaranteed by the kernel: limits on address space, CPU seconds, open files, file size 0 (nothing
can be written) and no core dumps. Where the kernel lets an ordinary process have one, an empty
network namespace too; without it nothing here uses the network, but nothing prevents it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from keelmark.vet.apart import confine
from keelmark.vet.contract import FACTS, Budget, Check, File, ReadLimitError, Result
from keelmark.vet.registry import all_checks
from keelmark.vet.sniff import unknown_reason

_MAX_OPEN = 64
_MAX_REQUEST = 64 * 1024


def _allow_cpu(seconds: int) -> None:
    """Let the process live for `seconds` more of CPU time; then the kernel ends it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime) + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, hard))


def examine(
    file: File, known: Mapping[str, Check], *, skip: frozenset[str], depth: int
) -> Iterator[dict[str, Any]]:
    """Run every check that claims a file, and then its members; yield the answers.

    Args:
        file: The file.
        known: Checks by id.
        skip: Checks that must not run, because they brought down an earlier worker.
        depth: How many archives may be around a member.
    """
    claimed = False
    for name, check in known.items():
        yield {"start": name}
        try:
            if not check.claims(file):
                continue
            claimed = True
            if name in skip:
                continue
            result = check.run(file)
        except ReadLimitError as error:
            result, claimed = Result((), str(error)), True
        except MemoryError:
            result, claimed = Result((), f"the {name} check ran out of memory"), True
        except Exception as error:  # boundary: a check that fails leaves its file "not checked"
            reason = f"the {name} check failed ({type(error).__name__})"
            result, claimed = Result((), reason), True
        yield _answer(name, file, result, check.version)
        for member in result.members:
            if member.depth > depth:
                reason = f"it is nested deeper than {depth} archives"
                yield _answer("", member, Result((), reason))
            else:
                yield from examine(member, known, skip=skip, depth=depth)
    if not claimed and not file.raw:
        yield _answer("", file, Result((), unknown_reason(file)))


def _answer(name: str, file: File, result: Result, version: str = "") -> dict[str, Any]:
    # A member that is raw numbers need not be understood; what is found in it still counts.
    reason = "" if file.raw else result.unexamined
    where = f"{file.inner}: " if file.inner and reason else ""
    return {
        "result": name,
        "version": version,
        "findings": msgspec.to_builtins(result.findings),
        "unexamined": where + reason,
        **_facts(file, result),
    }


def _facts(file: File, result: Result) -> dict[str, Any]:
    """The facts of a file or member, each by name; one that is too large is only named."""
    if not result.facts:
        return {}
    said = {name: json.dumps(value) for name, value in result.facts.items()}
    kept = {name: result.facts[name] for name, text in said.items() if len(text) <= FACTS}
    return {"inner": file.inner, "facts": kept, "left_out": sorted(said.keys() - kept.keys())}


def _serve(channel: socket.socket) -> None:
    known = all_checks()
    request, descriptors, _, _ = socket.recv_fds(channel, _MAX_REQUEST, 1)
    confined = False
    with channel.makefile("w", encoding="utf-8") as out:
        while request:
            order = json.loads(request)
            if not confined:
                confine(
                    (
                        (resource.RLIMIT_AS, order["memory"]),
                        (resource.RLIMIT_FSIZE, 0),
                        (resource.RLIMIT_NOFILE, _MAX_OPEN),
                    )
                )
                confined = True
            _allow_cpu(order["cpu"])
            fd = descriptors[0]
            try:
                file = File(
                    order["path"],
                    os.fstat(fd).st_size,
                    lambda size, offset, fd=fd: os.pread(fd, size, offset),  # type: ignore[misc]
                    Budget(order["budget"]),
                )
                skip = frozenset(order["skip"])
                for answer in examine(file, known, skip=skip, depth=order["depth"]):
                    out.write(json.dumps(answer) + "\n")
                    out.flush()
            finally:
                os.close(fd)
            out.write('{"end": true}\n')
            out.flush()
            request, descriptors, _, _ = socket.recv_fds(channel, _MAX_REQUEST, 1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    sys.setrecursionlimit(1000)
    with socket.socket(fileno=0) as stdin:
        _serve(stdin)
