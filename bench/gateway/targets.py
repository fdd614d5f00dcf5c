"""Who stands between the load and the mock engine: the floor, ours, and the peers.

nginx is taken from the system; the others are installed once into .bench, not into the project.
"""

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from process import DidNotStartError, Server, free_port

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / ".bench"
KEY = "sk-" + secrets.token_urlsafe(32)
LITELLM = "litellm[proxy]==1.106.2"
MLFLOW = "mlflow[gateway]==3.17.2"
PORTKEY = "@portkey-ai/gateway@1.15.2"

NGINX = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p;
  fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  keepalive_requests 1000000;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
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

QUOTA = """
quota:
  limits: [{id: fair, per: [key], requests: 100000000/minute, tokens: 10000000000/minute}]
  budgets: [{id: month, per: [key], window: month, tokens: 1000000000000}]
"""
BARE = "version: 1\nname: bench\nguard: {rules: []}\nretention: {content: none}\n"
METERED = BARE.replace("bench", "bench-metered") + QUOTA
GUARDED = "version: 1\nname: bench-guarded\nextends: default\n" + QUOTA


def direct(upstream, _folder):
    command = [sys.executable, Path(__file__).with_name("mock.py"), upstream]
    return Server(command, upstream, "/v1/models")


def nginx(upstream, folder):
    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if not binary:
        raise DidNotStartError("nginx is not installed")
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(dir=folder, upstream=upstream, port=port))
    return Server([binary, "-c", config, "-p", folder], port, "/v1/models")


def relay(upstream, folder):
    port = free_port()
    (folder / "relay.py").write_text(RELAY)
    command = [sys.executable, folder / "relay.py", port, f"http://127.0.0.1:{upstream}"]
    return Server(command, port, "/v1/models")


def keelmark(name, policy):
    def start(upstream, folder):
        port = free_port()
        (folder / f"{name}.yaml").write_text(policy)
        command = [Path(sys.executable).parent / "keelmark", "up", "--port", port]
        command += ["--upstream", f"http://127.0.0.1:{upstream}/v1", "--data", folder / name]
        command += ["--policy", folder / f"{name}.yaml"]
        environment = {**os.environ, "KEELMARK_ADMIN_KEY": KEY}
        return Server(command, port, "/readyz", env=environment)

    return start


def litellm(upstream, folder):
    program = _installed("litellm", LITELLM) / "bin" / "litellm"
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n- model_name: mock\n  litellm_params:\n    model: openai/mock\n"
        f"    api_base: http://127.0.0.1:{upstream}/v1\n    api_key: none\n"
        f"general_settings:\n  master_key: {KEY}\n"
    )
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    command = [program, "--config", config, "--port", port, "--host", "127.0.0.1"]
    command += ["--telemetry", "False"]
    return Server(command, port, "/health/liveliness", env=environment)


def portkey(upstream, _folder):
    home = BENCH / "portkey"
    server = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not shutil.which("node"):
        raise DidNotStartError("Node.js is not installed")
    if not server.exists():
        home.mkdir(parents=True, exist_ok=True)
        _run("npm", "install", "--prefix", home, "--no-audit", "--no-fund", "--silent", PORTKEY)
    port = free_port()
    address = f"http://127.0.0.1:{upstream}/v1"
    headers = ["x-portkey-provider: openai", f"x-portkey-custom-host: {address}"]
    command = ["node", "-r", Path(__file__).with_name("portkey_streams.cjs"), server]
    command += [f"--port={port}", "--headless"]
    # It refuses addresses of this machine unless they are named.
    environment = {**os.environ, "NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
    return Server(command, port, "/", headers=headers, env=environment)


def mlflow(upstream, folder):
    home = _installed("mlflow", MLFLOW)
    port = free_port()
    config = folder / "mlflow.yaml"
    config.write_text(
        "endpoints:\n- name: mock\n  endpoint_type: llm/v1/chat\n  model:\n"
        "    provider: openai\n    name: mock\n    config:\n      openai_api_key: none\n"
        f"      openai_api_base: http://127.0.0.1:{upstream}/v1\n"
    )
    command = [home / "bin" / "mlflow", "gateway", "start", "--config-path", config]
    command += ["--port", port, "--workers", 1]
    environment = {**os.environ, "PATH": f"{home / 'bin'}:{os.environ['PATH']}"}
    return Server(command, port, "/health", env=environment)


def _installed(name, package):
    home = BENCH / name
    if not (home / "bin" / name).exists():
        print(f"Installing {package} into {home} (once) ...", file=sys.stderr)
        _run(sys.executable, "-m", "venv", home)
        _run(home / "bin" / "pip", "install", "-q", package)
    return home


def _run(*words):
    try:
        subprocess.run(list(map(str, words)), check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise DidNotStartError(f"it could not be installed: {error}") from None


TARGETS = {
    "nginx": nginx,
    "relay": relay,
    "pass-through": keelmark("pass-through", BARE),
    "metered": keelmark("metered", METERED),
    "guarded": keelmark("guarded", GUARDED),
    "portkey": portkey,
    "mlflow": mlflow,
    "litellm": litellm,
}
