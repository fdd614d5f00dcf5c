"""The gateway beside nginx (the floor) and its peers, in one run.

    python bench/gateway [--rate 20] [--seconds 8] [--only NAME ...] [--json]
    python bench/gateway --soak 100000 [--only guarded]   # does memory stay flat?

Every target stands between the same mock engine and the same load, one after the other, each
with one process that answers (what it starts beside is counted too). Every answer is compared
with what the engine said for this very request. Latency is measured with constant arrivals (open
loop) from when a request was due, and shown as added over calling the mock engine directly; CPU
time of the target per request is measured with 64 requests in flight; memory is resident.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report
from process import TICK, DidNotStartError, free_port
from targets import KEY, TARGETS, direct

FAST = 200  # requests a second, at which the time to the first token is measured
ENOUGH_CPU_MS = 4.5  # per streamed request, of which FAST a second still fit on a core


def load(server, *options, stream=False):
    command = [sys.executable, Path(__file__).with_name("load.py"), server.port]
    command += ["--path", server.path, "--model", server.model, "--key", KEY, *options]
    for header in server.headers:
        command += ["--header", header]
    command += ["--stream"] * stream
    done = subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True, timeout=900
    )
    return json.loads(done.stdout)


def measure(server, args):
    """One row: latency at a quiet pace, CPU time in full flight, the first token at 200/s."""
    load(server, "--rate", 10, "--seconds", 1)
    load(server, "--rate", 10, "--seconds", 1, stream=True)
    time.sleep(1)
    row = {"rest_mb": server.memory()}
    for kind in ("json", "stream"):
        stream = kind == "stream"
        rate = args.rate / (4 if stream else 1)
        row[kind] = load(server, "--rate", rate, "--seconds", args.seconds, stream=stream)
        before = server.cpu()
        busy = load(server, "--inflight", 64, "--seconds", args.seconds, stream=stream)
        row[f"{kind}_cpu_ms"] = round(1e3 * (server.cpu() - before) / max(1, busy["asked"]), 4)
        row[f"{kind}_busy"] = busy
    if row["stream_cpu_ms"] <= ENOUGH_CPU_MS:
        row["fast"] = load(server, "--rate", FAST, "--seconds", args.seconds, stream=True)
    row["peak_mb"] = server.memory("VmHWM")
    time.sleep(2)
    row["after_mb"] = server.memory()
    return row


def soak(server, count, slices=10):
    """Memory after each slice of many requests, one in ten of them streamed."""
    load(server, "--inflight", 32, "--count", 1000)
    load(server, "--inflight", 32, "--count", 100, stream=True)
    out = [{"requests": 0, "mb": server.memory()}]
    for number in range(1, slices + 1):
        told = [
            load(server, "--inflight", 32, "--count", count // slices * 9 // 10),
            load(server, "--inflight", 32, "--count", count // slices // 10, stream=True),
        ]
        wrong = sum(one["asked"] - one.get("right", 0) for one in told)
        wrong += sum(one.get("usage wrong", 0) for one in told)
        out.append({"requests": count // slices * number, "mb": server.memory(), "wrong": wrong})
        print(f"  {out[-1]}", file=sys.stderr)
    return out


def busy():
    """CPU seconds that the machine has worked, and those of them that were for us."""
    user, nice, system, _idle, _wait, irq, soft, steal = Path("/proc/stat").read_text().split()[1:9]
    ticks = sum(map(int, (user, nice, system, irq, soft, steal)))
    return ticks / TICK, sum(os.times()[:4])


def run(names, act, *, baseline=True):
    """Start each target in its turn; return what was measured, and why some did not start."""
    rows, missing = {}, {}
    with tempfile.TemporaryDirectory() as name:
        folder, upstream = Path(name), free_port()
        mock = direct(upstream, folder)
        try:
            if baseline:
                rows["direct"] = act(mock)
            for target in names:
                print(f"{target} ...", file=sys.stderr)
                try:
                    server = TARGETS[target](upstream, folder)
                except DidNotStartError as error:
                    missing[target] = str(error)
                    continue
                try:
                    rows[target] = act(server)
                finally:
                    server.stop()
        finally:
            mock.stop()
    return rows, missing


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=20, help="JSON requests a second")
    parser.add_argument("--seconds", type=float, default=8, help="for each measurement")
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--soak", type=int, metavar="N", help="memory over N requests instead")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    args = parser.parse_args()
    if args.soak:
        rows, missing = run(args.only, lambda server: soak(server, args.soak), baseline=False)
        out = {"soak": rows, "missing": missing}
        lines = report.soak(out)
    else:
        began, (before, ours) = time.monotonic(), busy()
        rows, missing = run(args.only, lambda server: measure(server, args))
        took, (after, now) = time.monotonic() - began, busy()
        others = round((after - before - (now - ours)) / took, 2)
        out = {
            "others_cores": others,
            "direct": rows.pop("direct"),
            "rows": rows,
            "missing": missing,
        }
        lines = report.table(out)
    print(json.dumps(out) if args.json else "".join(lines))


if __name__ == "__main__":
    main()
