"""What people decide about a running service: models that are stopped, wishes, rollouts.

It is written on the board of the store, where every process of the service looks twice a second,
and in the ledger. So it holds for all workers and replicas, and after a restart; the command line
needs the data folder and no key.
"""

from __future__ import annotations

import getpass
import secrets
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from keelmark.core import events
from keelmark.core.errors import UsageError
from keelmark.core.rollouts import Plan, Rollout, State, check_plan
from keelmark.serve.steering import Steering, Switch
from keelmark.store import Store
from keelmark.store.board import decode, note, notes, pin, unpin
from keelmark.store.ledger import Transaction

SWITCH, ROLLOUT, WISH, ANSWER, SERVICE = "switch", "rollout", "wish", "answer", "service"
FRESH_SECONDS = 30.0
"""How old the note of a running service may be."""
_SHOWN = ("running", "done")

Verb = Literal["load", "unload", "add", "remove"]
VERBS: dict[str, Verb] = {"load": "load", "unload": "unload", "add": "add", "remove": "remove"}
T = TypeVar("T")


class ModelReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a model of a running service stands.

    Attributes:
        name: The model.
        state: loaded, loading, unloading, unloaded or failed; of an upstream ready or not ready.
        engine: Its engine.
        local: Whether it runs here.
        memory: What it takes while it is loaded, bytes; 0 for an upstream.
        reckoned: Whether `memory` was worked out, or only guessed from the size of the file.
        requests: Requests at work.
        waiting: Requests that wait for it to be loaded.
        reason: Why it failed, or "".
    """

    name: str
    state: str
    engine: str
    local: bool = False
    memory: int = 0
    reckoned: bool = True
    requests: int = 0
    waiting: int = 0
    reason: str = ""


class ServiceReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a running service stands.

    Attributes:
        id: Made at its start.
        place: Machine and process.
        budget: Memory for all local models, bytes.
        taken: What they take now, bytes.
        models: Its models.
        stopped: Models that it refuses.
        any_model: Whether an upstream of it takes any name.
    """

    id: str
    place: str
    budget: int
    taken: int
    models: tuple[ModelReport, ...]
    stopped: tuple[str, ...] = ()
    any_model: bool = False


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a running service is to do with a local model."""

    verb: Verb
    name: str
    reason: str
    who: str


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a wish."""

    done: bool
    message: str


def whoami() -> str:
    """Return who types a command, for the ledger."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a user without a name
        return "cli"


def services(store: Store) -> list[ServiceReport]:
    """Return the reports of services that run now."""
    limit = time.time() - FRESH_SECONDS
    found = store.read(lambda db: notes(db, SERVICE))
    return [decode(one, ServiceReport) for one in found if one.changed >= limit]


def switches(store: Store) -> dict[str, Switch]:
    """Return the models that are stopped."""
    return {one.name: decode(one, Switch) for one in store.read(lambda db: notes(db, SWITCH))}


def rollouts(store: Store) -> list[Rollout]:
    """Return the rollouts: those that run, and the last one of each model."""
    return [decode(one, Rollout) for one in store.read(lambda db: notes(db, ROLLOUT))]


def take_up(store: Store, steering: Steering) -> None:
    """Make what is decided hold in this process."""
    found = store.read(notes)
    shown = {one.name: decode(one, Rollout) for one in found if one.topic == ROLLOUT}
    steering.use(
        {one.name: decode(one, Switch) for one in found if one.topic == SWITCH},
        {name: one for name, one in shown.items() if one.state in _SHOWN},
    )


def stop_model(store: Store, name: str, reason: str, who: str) -> None:
    """Stop a model: it is refused from now on, and what it works at is ended.

    Raises:
        UsageError: Nobody here knows it, or it is stopped already.
    """
    check_known(store, name)

    def job(transaction: Transaction) -> None:
        if (one := note(transaction.db, SWITCH, name)) is not None:
            since = decode(one, Switch)
            raise UsageError(f"{name} is stopped already, by {since.who}: {since.reason or 'so'}.")
        switch = Switch(name=name, reason=reason, who=who, at=transaction.now)
        pin(transaction, SWITCH, name, switch)
        body = {"name": name, "reason": reason, "who": who}
        transaction.append(events.MODEL_STOPPED, body)

    store.submit(job)


def start_model(store: Store, name: str, reason: str, who: str) -> None:
    """Let a model answer again.

    Raises:
        UsageError: It is not stopped.
    """

    def job(transaction: Transaction) -> None:
        if not unpin(transaction, SWITCH, name):
            raise UsageError(f"{name} is not stopped; `keelmark models list` shows what is.")
        transaction.append(events.MODEL_STARTED, {"name": name, "reason": reason, "who": who})

    store.submit(job)


def check_known(store: Store, name: str) -> None:
    """Refuse a name that is a slip of the keyboard: a switch for it would stop nothing.

    Raises:
        UsageError: No running service and no admitted model has it.
    """
    running = services(store)
    known = {one.name for service in running for one in service.models}
    known |= {one.name for one in store.models()}
    if name not in known and not any(service.any_model for service in running):
        shown = ", ".join(sorted(known)) or "none"
        raise UsageError(f"There is no model {name!r} here; there are: {shown}.")


def wish(store: Store, verb: Verb, name: str, reason: str, who: str) -> str:
    """Ask the running service for something; return the id of the wish.

    Raises:
        UsageError: No service runs.
    """
    if not services(store):
        raise UsageError("No service runs on this data folder; start it with `keelmark up`.")
    key = secrets.token_hex(8)
    asked = Wish(verb=verb, name=name, reason=reason, who=who)
    store.submit(lambda transaction: pin(transaction, WISH, key, asked))
    return key


def granted(store: Store, key: str) -> Granted | None:
    """Return what became of a wish, once, or None while nothing has."""
    if (one := store.read(lambda db: note(db, ANSWER, key))) is None:
        return None
    store.submit(lambda transaction: unpin(transaction, ANSWER, key))
    return decode(one, Granted)  # type: ignore[no-any-return]


def wait_for(look: Callable[[], T | None], seconds: float) -> T | None:
    """Return what `look` finds, as soon as it finds something, or None after so long."""
    end = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < end:
        time.sleep(0.1)
    return found


# --- rollouts ---


def roll_out(store: Store, name: str, to: str, plan: Plan, reason: str, who: str) -> Rollout:
    """Begin a rollout.

    Raises:
        UsageError: The plan is wrong, a model is unknown or stopped, or one runs already.
    """
    check_plan(plan, name, to)
    for one in (name, to):
        check_known(store, one)
        if one in switches(store):
            raise UsageError(f"{one} is stopped; start it first: `keelmark models start {one}`.")

    def job(transaction: Transaction) -> Rollout:
        for one in notes(transaction.db, ROLLOUT):
            before: Rollout = decode(one, Rollout)
            if before.state in _SHOWN and {name, to} & {before.name, before.to}:
                raise UsageError(
                    f"There is a rollout of {before.name} to {before.to} ({before.state}); end it "
                    f"first: `keelmark rollout abort {before.name}`."
                )
        rollout = Rollout(
            id=secrets.token_hex(6),
            name=name,
            to=to,
            plan=plan,
            since=transaction.now,
            seq=transaction.size,
            state="done" if plan.steps[0] == 100 else "running",
            reason=reason,
            who=who,
        )
        pin(transaction, ROLLOUT, name, rollout)
        begun = {"name": name, "rollout": rollout.id, "to": to, "who": who, "reason": reason}
        asked = {**msgspec.to_builtins(plan), "share": rollout.share}
        transaction.append(events.ROLLOUT_STARTED, {**begun, "plan": asked})
        return rollout

    return store.submit(job)


def next_step(store: Store, rollout: Rollout, evidence: dict[str, Any], reason: str) -> bool:
    """Go a step further; False when another process has changed the rollout before.

    After the last step but one the new model has taken the place of the old one.
    """
    share = rollout.plan.steps[rollout.step + 1]
    if share == 100:
        return end(store, rollout, "done", reason, "keelmark", evidence)

    def job(transaction: Transaction) -> bool:
        if not _is_now(transaction, rollout):
            return False
        further = msgspec.structs.replace(
            rollout,
            step=rollout.step + 1,
            since=transaction.now,
            seq=transaction.size,
            reason=reason,
            version=rollout.version + 1,
        )
        pin(transaction, ROLLOUT, rollout.name, further)
        about = {"name": rollout.name, "rollout": rollout.id, "to": rollout.to}
        body = {**about, "share": share, "evidence": evidence, "reason": reason}
        transaction.append(events.ROLLOUT_STEP, body)
        return True

    return store.submit(job)


def end(
    store: Store,
    rollout: Rollout,
    state: State,
    reason: str,
    who: str,
    evidence: dict[str, Any],
) -> bool:
    """End a rollout; False when another process has changed it before."""

    def job(transaction: Transaction) -> bool:
        if not _is_now(transaction, rollout):
            return False
        ended = msgspec.structs.replace(
            rollout, state=state, reason=reason, who=who, version=rollout.version + 1
        )
        pin(transaction, ROLLOUT, rollout.name, ended)
        about = {"name": rollout.name, "rollout": rollout.id, "to": rollout.to, "outcome": state}
        body = {**about, "evidence": evidence, "who": who, "reason": reason}
        transaction.append(events.ROLLOUT_ENDED, body)
        return True

    return store.submit(job)


def abort(store: Store, name: str, reason: str, who: str) -> Rollout:
    """End a rollout by hand: the old model answers again.

    Raises:
        UsageError: There is none.
    """
    rollout = next((one for one in rollouts(store) if one.name == name), None)
    if rollout is None or rollout.state not in _SHOWN:
        raise UsageError(f"There is no rollout of {name!r}; see `keelmark rollout status`.")
    if not end(store, rollout, "aborted", reason, who, {}):
        return abort(store, name, reason, who)  # it has just gone a step further
    return rollout


def _is_now(transaction: Transaction, rollout: Rollout) -> bool:
    one = note(transaction.db, ROLLOUT, rollout.name)
    if one is None:
        return False
    now: Rollout = decode(one, Rollout)
    return (now.id, now.version) == (rollout.id, rollout.version)
