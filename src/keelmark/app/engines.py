"""The engines of a service: the embedded one with an admitted model, and upstreams."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from keelmark.app.admission import Progress, load, refuse
from keelmark.app.home import Home
from keelmark.core import events
from keelmark.core.errors import IntegrityError
from keelmark.core.ports import Transport
from keelmark.observe.metrics import Metrics
from keelmark.serve.engine import Engine
from keelmark.serve.engines.llama import LlamaEngine, LlamaOptions
from keelmark.serve.models import LocalModel, find_model
from keelmark.serve.upstream import UpstreamEngine, upstream_spec

Say = Callable[[str], None]


class Person(NamedTuple):
    """How to talk to whoever started the service: lines, and progress with a label."""

    say: Say
    progress: Callable[[str], Progress]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What `keelmark up` was asked for; the defaults are those of the command line."""

    data: Path | None = None
    policy: Path | None = None
    shadow_policy: Path | None = None
    model: str | None = None
    upstreams: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    context: int = 0
    slots: int = 4
    no_admit: bool = False
    transport: Literal["direct", "pyreqwest", "aiohttp"] = "direct"
    engine_log: Path | None = None


def fetch_model(ref: str, data: Path, say: Say) -> Path:
    """Bring a model to this machine and return its path; `default` is the bundled one.

    Raises:
        KeelmarkError: As `keelmark.serve.models.find_model`.
    """
    return find_model("" if ref == "default" else ref, data, say).path


@contextlib.asynccontextmanager
async def open_engines(
    home: Home, settings: Settings, metrics: Metrics, transport: Transport, person: Person
) -> AsyncIterator[list[Engine]]:
    """Start the engines that were asked for; stop them at the end.

    Raises:
        KeelmarkError: A model is refused, or an engine does not start.
    """
    async with contextlib.AsyncExitStack() as stack:
        engines: list[Engine] = [
            UpstreamEngine(upstream_spec(ref), transport) for ref in settings.upstreams
        ]
        if settings.model is not None or not engines:
            engines.insert(0, _embedded(home, settings, metrics, stack, person))
            person.say("Starting the engine ...")
        for engine in engines:
            await engine.start()
            stack.push_async_callback(engine.stop)
            for name in engine.models:
                metrics.know_model(name)
        yield engines


def _embedded(
    home: Home,
    settings: Settings,
    metrics: Metrics,
    stack: contextlib.AsyncExitStack,
    person: Person,
) -> LlamaEngine:
    found = _find(home, settings, person.say)
    person.say(f"Checking {found.path.name} ...")
    model, passport = load(
        home,
        found.path,
        name=found.name,
        first_sight=not settings.no_admit,
        progress=person.progress("Reading"),
    )
    stack.callback(model.close)
    template = hashlib.sha256(found.chat_template.encode()).hexdigest()
    home.store.append(
        events.MODEL_LOADED,
        {
            "digest": model.digest,
            "engine": LlamaEngine.id,
            "passport": passport.envelope_digest,
            "load_mode": model.mode_used,
            "policy_digest": home.policy.admission_digest,
            "chat_template": f"sha256:{template}" if found.chat_template else "the model's own",
        },
    )

    def on_event(kind: str, reason: str) -> None:
        body = {"engine": LlamaEngine.id, "digest": model.digest, "reason": reason}
        home.store.append(kind, body)
        if kind == events.ENGINE_STOPPED and reason:
            metrics.count("keelmark_engine_restarts_total", engine=LlamaEngine.id)

    options = LlamaOptions(
        context=settings.context or LlamaOptions().context,
        slots=settings.slots,
        chat_template=found.chat_template,
        prompt_log_dir=str(settings.engine_log.absolute()) if settings.engine_log else "",
    )
    return LlamaEngine(model, name=found.name, data=home.data, options=options, on_event=on_event)


def _find(home: Home, settings: Settings, say: Say) -> LocalModel:
    try:
        return find_model(settings.model or "", home.data, say)
    except IntegrityError as error:
        refuse(home, "", error.message)
        raise
