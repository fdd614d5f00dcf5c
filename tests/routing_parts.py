"""A gateway with routes before several fake engines."""

from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from gateway_parts import MemoryKeys, MemoryRecorder, PlainEngine, Stack, listening
from keelmark.core.policy import parse_policy
from keelmark.guard import Guard
from keelmark.serve.config import GatewayConfig
from keelmark.serve.fake import FakeEngine
from keelmark.serve.gateway import build_app
from keelmark.serve.transport import new_transport

RULES = """
guard:
  rules:
    - {id: mail, detector: personal_data, action: flag, labels: [EMAIL], stage: input}
"""


@asynccontextmanager
async def routed(routes, scripts, *, rules=RULES, guard=None, **settings):
    """Engines by the names of their scripts, the gateway before them, and a client before that.

    A script that is None stands for an engine at which nobody listens.
    """
    policy = parse_policy(rules + routes)
    recorder, keys, traces = MemoryRecorder(), MemoryKeys(), []
    secret, key = keys.add("test", ("models",))
    fakes, engines = {}, {}
    async with AsyncExitStack() as rooms:
        for name, script in scripts.items():
            url = "http://127.0.0.1:9"  # the discard port
            if script is not None:
                fakes[name] = FakeEngine(script)
                url = await rooms.enter_async_context(listening(fakes[name]))
            engines[name] = engine = PlainEngine(
                url,
                models=(f"{name}-model",),
                digest="sha256:weights" if name == "local" else "",
                **settings.get(name, {}),
            )
            engine.id = name
        client = new_transport("direct")
        rooms.push_async_callback(client.close)
        guard = guard or Guard(policy)
        app = build_app(
            GatewayConfig(
                engines=list(engines.values()),
                guard=guard,
                recorder=recorder,
                keys=keys,
                transport=client,
                policy=policy,
                on_trace=[traces.append],
            )
        )
        url = await rooms.enter_async_context(listening(app, policy.limits))
        http = await rooms.enter_async_context(aiohttp.ClientSession())
        yield Stack(
            url,
            http,
            secret,
            key=key,
            fakes=fakes,
            engines=engines,
            recorder=recorder,
            keys=keys,
            app=app,
            traces=traces,
            guard=guard,
        )


def said(body):
    """What a whole chat answer says."""
    return body["choices"][0]["message"]["content"]
