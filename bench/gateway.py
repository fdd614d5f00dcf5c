"""The gateway beside nginx (the floor) and LiteLLM's proxy (the peer), in one run.

    python bench/gateway.py [--rate 10] [--seconds 10] [--count 3000] [--no-litellm]

Every target stands between the same mock engine and the same load. Latency is measured with
constant arrivals (open loop) and reported as added over calling the mock directly; CPU time of
the target per request is measured with 64 requests in flight; memory is resident.
nginx is taken from the system and skipped with a word when absent; LiteLLM is installed once
into .bench/litellm, not into the project.
"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / ".bench"
LITELLM = "litellm[proxy]==1.106.2"
KEY = "sk-" + secrets.token_urlsafe(32)
TICK = os.sysconf("SC_CLK_TCK")
UNGUARDED = "name: bench-unguarded\nguard: {rules: []}\nretention: {content: none}\n"

NGINX = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://mock; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_buffering off; }} }} }}
"""

RELAY = """
import sys, uvicorn
from pyreqwest.client import ClientBuilder
client = ClientBuilder().build()
async def app(scope, receive, send):
    if scope["type"] != "http": return
    body = b""
    while True:
        m = await receive(); body += m.get("body", b"")
        if not m.get("more_body"): break
    r = client.post(sys.argv[2] + scope["path"]).body_bytes(body).streamed_read_buffer_limit(0)
    async with r.build_streamed() as a:
        await send({"type": "http.response.start", "status": a.status,
                    "headers": [(b"content-type", a.headers["content-type"].encode())]})
        while (c := await a.body_reader.read_chunk()) is not None:
            await send({"type": "http.response.body", "body": bytes(c), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(url, seconds, process):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"{process.args[0]} ended with code {process.returncode}")
        try:
            urllib.request.urlopen(url, timeout=2).read()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{url} did not answer within {seconds} s")


def tree(pid):
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return found


def usage(pid):
    """CPU seconds and resident megabytes of a process and its children."""
    cpu = rss = 0
    for one in tree(pid):
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            cpu += int(fields[11]) + int(fields[12])
            rss += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return cpu / TICK, rss / 1e6


def load(port, *options, stream):
    command = [sys.executable, ROOT / "bench" / "load.py"]
    command += [f"http://127.0.0.1:{port}/v1/chat/completions", "--key", KEY, *map(str, options)]
    done = subprocess.run(
        command + ["--stream"] * stream, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


class Target:
    def __init__(self, name, command, port, health, *, slow=1, **options):
        self.name, self.port, self.slow = name, port, slow
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=self.log, stderr=self.log, **options
        )
        wait_for(f"http://127.0.0.1:{port}{health}", 120, self.process)

    def measure(self, args):
        row = {"rest_mb": usage(self.process.pid)[1]}
        for kind in ("json", "stream"):
            stream = kind == "stream"
            pace = ("--rate", args.rate, "--seconds")
            load(self.port, *pace, 2, stream=stream)  # warm up
            row[kind] = load(self.port, *pace, args.seconds, stream=stream)
            count = args.count // self.slow // (5 if stream else 1)
            before = usage(self.process.pid)[0]
            busy = load(self.port, "--inflight", 64, "--count", count, stream=stream)
            row[f"{kind}_cpu_ms"] = 1e3 * (usage(self.process.pid)[0] - before) / busy["n"]
            row[kind]["errors"] += busy["errors"]
        row["after_mb"] = usage(self.process.pid)[1]
        return row

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def nginx(upstream, folder):
    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if not binary:
        return None
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(dir=folder, upstream=upstream, port=port))
    return Target("nginx", [binary, "-c", config, "-p", folder], port, "/v1/models")


def relay(upstream, folder):
    port = free_port()
    (folder / "relay.py").write_text(RELAY)
    command = [sys.executable, folder / "relay.py", port, f"http://127.0.0.1:{upstream}"]
    return Target("bare relay (uvicorn + pyreqwest)", command, port, "/v1/models")


def keelmark(upstream, folder, name, policy):
    port = free_port()
    command = [Path(sys.executable).parent / "keelmark", "up", "--port", port]
    command += ["--upstream", f"http://127.0.0.1:{upstream}/v1", "--data", folder / name]
    if policy:
        (folder / f"{name}.yaml").write_text(policy)
        command += ["--policy", folder / f"{name}.yaml"]
    environment = {**os.environ, "KEELMARK_ADMIN_KEY": KEY}
    return Target(name, command, port, "/readyz", env=environment)


def litellm(upstream, folder):
    home = BENCH / "litellm"
    if not (home / "bin" / "litellm").exists():
        print(f"Installing {LITELLM} into {home} (once) ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([home / "bin" / "pip", "install", "-q", LITELLM], check=True)
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n- model_name: mock\n  litellm_params:\n    model: openai/mock\n"
        f"    api_base: http://127.0.0.1:{upstream}/v1\n    api_key: none\n"
        f"general_settings:\n  master_key: {KEY}\n"
    )
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    command = [home / "bin" / "litellm", "--config", config, "--port", port, "--host", "127.0.0.1"]
    return Target(
        "LiteLLM 1.106.2", [*command, "--telemetry", "False"], port, "/health/liveliness",
        slow=10, env=environment,
    )  # fmt: skip


def report(direct, rows):
    head = ("target", "JSON CPU ms", "added p50", "added p99", "stream CPU ms", "TTFB p50 added",
            "TTFB p99 added", "MB rest", "MB after", "errors", "chunks 1:1")  # fmt: skip
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for name, row in rows:
        j, s = row["json"], row["stream"]
        cells = (
            name, f"{row['json_cpu_ms']:.2f}", f"{j['p50'] - direct['json']['p50']:.2f}",
            f"{j['p99'] - direct['json']['p99']:.2f}", f"{row['stream_cpu_ms']:.2f}",
            f"{s['ttfb50'] - direct['stream']['ttfb50']:.2f}",
            f"{s['ttfb99'] - direct['stream']['ttfb99']:.2f}", f"{row['rest_mb']:.0f}",
            f"{row['after_mb']:.0f}", j["errors"] + s["errors"],
            "yes" if s["chunks"] == direct["stream"]["chunks"] else s["chunks"],
        )  # fmt: skip
        print("| " + " | ".join(map(str, cells)) + " |")
    figures = dict(rows)
    ours, peer = figures.get("keelmark + guard"), figures.get("LiteLLM 1.106.2")
    if ours and peer:
        for kind in ("json", "stream"):
            ratio = peer[f"{kind}_cpu_ms"] / ours[f"{kind}_cpu_ms"]
            print(f"LiteLLM (no guard) takes {ratio:.0f} times our CPU per {kind} request.")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--litellm", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, upstream = Path(name), free_port()
        mock = Target(
            "mock", [sys.executable, ROOT / "bench" / "mock_upstream.py", upstream], upstream, "/"
        )
        try:
            direct, rows = mock.measure(args), []
            makers = [
                lambda: nginx(upstream, folder),
                lambda: relay(upstream, folder),
                lambda: keelmark(upstream, folder, "keelmark keys + trace", UNGUARDED),
                lambda: keelmark(upstream, folder, "keelmark + guard", ""),
            ]
            if args.litellm:
                makers.append(lambda: litellm(upstream, folder))
            for make in makers:
                target = make()
                if target is None:
                    print("nginx is not installed; its row is left out.", file=sys.stderr)
                    continue
                try:
                    rows.append((target.name, target.measure(args)))
                finally:
                    target.stop()
            if args.json:
                print(json.dumps({"direct": direct, "rows": dict(rows)}))
            else:
                report(direct, rows)
        finally:
            mock.stop()


if __name__ == "__main__":
    main()
