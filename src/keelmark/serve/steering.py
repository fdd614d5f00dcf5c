"""What people decide while the service runs: models that are stopped, and rollouts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from keelmark.core import semconv
from keelmark.core.rollouts import Plan, Rollout
from keelmark.core.trace import Trace
from keelmark.serve.errors import ApiError


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is stopped.

    Attributes:
        name: The model.
        reason: Why; clients are not told.
        who: Who stopped it.
        at: Unix time, seconds.
    """

    name: str
    reason: str
    who: str
    at: float


class Controls(Protocol):
    """What the service can be told to do."""

    async def models(self) -> dict[str, Any]:
        """Return how the models of the service stand."""

    async def act(self, verb: str, name: str, reason: str, who: str) -> str:
        """Do something with a model; return what was done, a sentence.

        Args:
            verb: One of `keelmark.serve.admin.VERBS`, or `add`, whose name is a reference.
            name: The model.
            reason: Why, for the ledger.
            who: Id of the key.

        Raises:
            KeelmarkError: It cannot be done.
        """

    async def rollouts(self) -> list[dict[str, Any]]:
        """Return the rollouts."""

    async def roll_out(self, name: str, to: str, plan: Plan, reason: str, who: str) -> None:
        """Begin a rollout. Raises KeelmarkError when that cannot be."""

    async def abort(self, name: str, reason: str, who: str) -> None:
        """End a rollout. Raises KeelmarkError when there is none."""


class Leash:
    """By which a request is ended when a model is stopped that works for it.

    Attributes:
        models: The models that it was sent to.
        error: What it was ended with, or None.
    """

    __slots__ = ("_task", "error", "models")

    def __init__(self) -> None:
        self.models: list[str] = []
        self.error: ApiError | None = None
        self._task: asyncio.Task[object] | None = None

    def hold(self) -> None:
        """The request is at work in this task, until `let_go`."""
        self._task = asyncio.current_task()

    def let_go(self) -> None:
        """From here on the request is not to be interrupted."""
        self._task = None

    def pull(self, error: ApiError) -> None:
        """End the request."""
        if self._task is not None and self.error is None:
            self.error = error
            self._task.cancel()

    def pulled(self) -> ApiError | None:
        """Return what the request was ended with, once its task was cancelled for that."""
        if self.error is not None and self._task is not None:
            self._task.uncancel()
        return self.error


class Steering:
    """What is decided now; the gateway asks it for every call.

    Attributes:
        stopped: Name to switch, of models that are stopped.
        rollouts: Name to rollout, of models that another one takes the place of.
        leashes: Requests at work.
    """

    def __init__(self) -> None:
        self.stopped: dict[str, Switch] = {}
        self.rollouts: dict[str, Rollout] = {}
        self.leashes: set[Leash] = set()

    def arm(self, trace: Trace) -> str:
        """Return the model that a call gets: the one asked for, or what takes its place."""
        name = trace.model
        rollout = self.rollouts.get(name) if self.rollouts else None
        if rollout is None:
            return name
        chosen = rollout.arm(trace)
        trace.attributes[semconv.ROLLOUT_ARM] = chosen
        if rollout.state == "running":
            trace.attributes[semconv.ROLLOUT] = rollout.id
            trace.attributes[semconv.ROLLOUT_STEP] = rollout.step
        return chosen

    def refuses(self, models: Sequence[str]) -> bool:
        """Whether all models of an engine are stopped."""
        return bool(models) and self.stopped.keys() >= set(models)

    def enter(self, name: str, leash: Leash | None) -> None:
        """A call turns to a model.

        Raises:
            ApiError: 503, the model is stopped.
        """
        if name in self.stopped:
            raise refusal(self.stopped[name])
        if leash is not None:
            leash.models.append(name)

    def hold(self, leash: Leash | None) -> Leash | None:
        """A request begins to work in this task; return its leash."""
        if leash is not None:
            leash.hold()
            self.leashes.add(leash)
        return leash

    def let_go(self, leash: Leash | None) -> None:
        """A request has ended, or is not to be interrupted any more."""
        if leash is not None:
            leash.let_go()
            self.leashes.discard(leash)

    def use(self, stopped: dict[str, Switch], rollouts: dict[str, Rollout]) -> None:
        """Take up what is decided now; end what a model that is stopped works for."""
        fresh = [switch for name, switch in stopped.items() if name not in self.stopped]
        self.stopped, self.rollouts = stopped, rollouts
        for switch in fresh:
            for leash in list(self.leashes):
                if switch.name in leash.models:
                    leash.pull(refusal(switch))


def refusal(switch: Switch) -> ApiError:
    """Return what clients hear of a model that is stopped."""
    return ApiError(
        503,
        "model_stopped",
        f"The model `{switch.name}` was stopped by who runs this service: use another one.",
        param="model",
    )
