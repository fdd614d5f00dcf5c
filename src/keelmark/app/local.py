"""Local models of a running service: each admitted, bound at every load, in a child of its own."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from keelmark.app.admission import Progress, load, passport_at, refuse
from keelmark.app.decisions import switches
from keelmark.app.home import Home
from keelmark.app.needs import memory_of, room
from keelmark.core import events
from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.ports import Transport
from keelmark.observe.metrics import Metrics
from keelmark.serve.berths import Berth, Standing, Turns
from keelmark.serve.engine import Engine
from keelmark.serve.engines.llama import LlamaEngine, LlamaOptions, ranks_at
from keelmark.serve.hosted import HostedEngine, HostedTransport, LocalLeases, Nature
from keelmark.serve.loader import STOPPING, Loader
from keelmark.serve.models import LocalModel, find_model
from keelmark.serve.supervise import ASKED

Say = Callable[[str], None]

_NAMED = re.compile(r"(?P<name>[^/=\s]{1,64})=(?P<ref>.*)")
_UNSAFE = re.compile(r"[^\w.-]")


class Person(NamedTuple):
    """How to talk to whoever started the service: lines, and progress with a label."""

    say: Say
    progress: Callable[[str], Progress]


class Wanted(NamedTuple):
    """How local models are to be run.

    Attributes:
        options: What all of them are run with.
        first_sight: Whether one that was never admitted is vetted and admitted.
        memory: Budget for all of them together, bytes; 0 for what the machine has free.
        turns: Time limits of loading.
    """

    options: LlamaOptions
    first_sight: bool = True
    memory: int = 0
    turns: Turns = Turns()


class Fleet:
    """The engines of a service, which may become more and fewer while it runs.

    Args:
        home: The installation.
        wanted: How local models are run.
        metrics: Where loads are counted.
        transport: The way to engines.
        person: Whom to tell what takes long.

    Attributes:
        engines: The engines; the gateway reads this very list.
        loader: Says which local models are in memory.
        way: The transport that reaches all of them.
        sources: Name of a local model to where it lies.
    """

    def __init__(
        self, home: Home, wanted: Wanted, metrics: Metrics, transport: Transport, person: Person
    ) -> None:
        self.engines: list[Engine] = []
        self.loader = Loader(wanted.memory or room(), wanted.turns)
        self.loader.changed = self._changed
        self.way = HostedTransport(transport, LocalLeases(self.loader))
        self.sources: dict[str, Path] = {}
        self._home, self._wanted, self._metrics, self._person = home, wanted, metrics, person
        self._starting = True

    async def open(self, references: Sequence[str]) -> None:
        """Admit local models, and load those that fit together, the first ones first.

        Raises:
            KeelmarkError: One is refused, does not fit, or does not load.
        """
        found = [self._find(reference) for reference in references]
        for one in found:
            self._take_up(one, self._examine(one), several=len(found) > 1)
        self._person.say("Starting the engine ...")
        left, stopped = self.loader.budget, switches(self._home.store)
        for engine in list(self.engines):
            if not isinstance(engine, HostedEngine) or engine.name in stopped:
                continue
            if engine.need <= left:
                left -= engine.need
                await engine.start()
        self._starting = False

    async def add(self, reference: str) -> HostedEngine:
        """Take up one more local model; it is loaded when it is asked for.

        Raises:
            KeelmarkError: It is refused, or does not fit.
        """
        found = await asyncio.to_thread(self._find, reference)
        return self._take_up(found, await asyncio.to_thread(self._examine, found), several=True)

    async def remove(self, name: str) -> None:
        """Take a local model out; requests that it has begun end in peace.

        Raises:
            UsageError: There is no local model of this name.
        """
        engine = self.local(name)
        self.engines.remove(engine)
        self.sources.pop(name, None)
        await engine.stop()

    def local(self, name: str) -> HostedEngine:
        """Return a local model. Raises UsageError when there is none of this name."""
        for engine in self.engines:
            if isinstance(engine, HostedEngine) and engine.name == name:
                return engine
        known = ", ".join(self.loader.berths) or "none"
        raise UsageError(f"There is no local model {name!r} in this service; there is: {known}.")

    async def close(self) -> None:
        """Stop everything."""
        await self.loader.close()

    # --- one model ---

    def _find(self, reference: str) -> LocalModel:
        """Bring a model to this machine; `NAME=REF` gives it a name."""
        named = _NAMED.fullmatch(reference)
        if named and not Path(reference).exists():
            reference = named["ref"]
        ref = "" if reference == "default" else reference
        try:
            found = find_model(ref, self._home.data, self._person.say)
        except IntegrityError as error:
            refuse(self._home, "", error.message)
            raise
        return msgspec.structs.replace(found, name=named["name"]) if named else found

    def _examine(self, found: LocalModel) -> Nature:
        """Admit it where it never was; its bytes are read again when it is loaded."""
        self._person.say(f"Checking {found.path.name} ...")
        passport = passport_at(
            self._home,
            found.path,
            name=found.name,
            first_sight=self._wanted.first_sight,
            progress=self._progress(),
        )
        options = self._wanted.options
        needed = memory_of(found.path, context=options.context, step=options.batch)
        return Nature(
            digest=passport.digest,
            load_mode=self._home.policy.admission.load,
            need=needed.bytes,
            scoring=needed.scoring,
            reranks=ranks_at(found.path),
            known=needed.known,
        )

    def _take_up(self, found: LocalModel, nature: Nature, *, several: bool) -> HostedEngine:
        first = not any(isinstance(engine, HostedEngine) for engine in self.engines)
        options = msgspec.structs.replace(
            self._wanted.options,
            chat_template=found.chat_template,
            several=several,
            log="llama" if first else f"llama-{_UNSAFE.sub('_', found.name)}",
        )
        self._make_room(found, nature)
        opening = _Opening(self._home, self._metrics, found, options, nature)
        engine = HostedEngine(
            found.name,
            id=LlamaEngine.id if first else f"{LlamaEngine.id}:{found.name}",
            nature=nature,
            options=options,
            open_=lambda: opening(engine.id, self._progress()),
            loader=self.loader,
        )
        self.sources[found.name] = found.path
        self.engines.insert(sum(isinstance(e, HostedEngine) for e in self.engines), engine)
        self._metrics.know_model(found.name)
        return engine

    def _make_room(self, found: LocalModel, nature: Nature) -> None:
        """Where nobody set a budget, what is free is an estimate as well: it is tried."""
        if nature.need > self.loader.budget and not self._wanted.memory:
            self.loader.budget = nature.need
            self._person.say(
                f"WARNING: {found.name} needs about {nature.need >> 20:,} MiB of memory, which is "
                "more than is free; a smaller --context needs less."
            )

    def _progress(self) -> Progress | None:
        return self._person.progress("Reading") if self._starting else None

    def _changed(self, berth: Berth) -> None:
        name = berth.model.name
        self._metrics.set_gauge("keelmark_model_memory_bytes", berth.takes, model=name)
        if berth.standing is Standing.LOADED:
            self._metrics.count("keelmark_model_loads_total", model=name)


class _Opening:
    """How the bytes of one model are checked and opened, at every load."""

    def __init__(
        self,
        home: Home,
        metrics: Metrics,
        found: LocalModel,
        options: LlamaOptions,
        nature: Nature,
    ) -> None:
        self._home, self._metrics, self._found = home, metrics, found
        self._options, self._nature = options, nature

    async def __call__(
        self, engine_id: str, progress: Progress | None
    ) -> tuple[LlamaEngine, Callable[[str], None]]:
        """Check, and return the engine and what lets the bytes go."""
        home, found = self._home, self._found
        model, passport = await asyncio.to_thread(
            load, home, found.path, name=found.name, first_sight=False, progress=progress
        )
        if model.digest != self._nature.digest:
            model.close()
            reason = (
                f"{found.path} was admitted with other bytes since the service took it up: restart "
                "the service, or take the model out and add it again."
            )
            refuse(home, model.digest, reason)
            raise IntegrityError(reason)
        about = {"digest": model.digest, "engine": engine_id}
        template = hashlib.sha256(found.chat_template.encode()).hexdigest()
        loaded = {
            **about,
            "passport": passport.envelope_digest,
            "load_mode": model.mode_used,
            "policy_digest": home.policy.admission_digest,
            "chat_template": f"sha256:{template}" if found.chat_template else "the model's own",
        }
        await asyncio.to_thread(home.store.append, events.MODEL_LOADED, loaded)

        def on_event(kind: str, reason: str) -> None:
            home.store.append(kind, {**about, "reason": reason})
            if kind == events.ENGINE_STOPPED and reason != ASKED:
                self._metrics.count("keelmark_engine_restarts_total", engine=engine_id)

        def let_go(reason: str) -> None:
            model.close()
            if reason != STOPPING:
                body = {**about, "name": found.name, "reason": reason}
                home.store.append(events.MODEL_UNLOADED, body)

        engine = LlamaEngine(
            model, name=found.name, data=home.data, options=self._options, on_event=on_event
        )
        return engine, let_go
