"""One evaluation from its suite to its result: found, asked, scored, kept, and in the ledger."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import msgspec
import uvloop

from keelmark import __version__
from keelmark.app.batch.pools import Opener
from keelmark.app.engines import Person
from keelmark.app.evaluation.crowd import (
    Scores,
    ask_with,
    check_helpers,
    counted,
    helping,
    score_with,
)
from keelmark.app.evaluation.evidence import record_run
from keelmark.app.evaluation.spending import (
    SESSIONS,
    Money,
    machine_facts,
    metered,
    price_of,
    sessions,
    spent,
)
from keelmark.app.evaluation.targets import Opened, Wanted, opened
from keelmark.app.home import Home
from keelmark.core.errors import UnavailableError, UsageError
from keelmark.evaluate.canaries import check_known_texts
from keelmark.evaluate.client import Client
from keelmark.evaluate.contract import Scored
from keelmark.evaluate.data import find, places
from keelmark.evaluate.journal import AGAIN, REPLIES, Journal, Kept
from keelmark.evaluate.manifest import Asked, Manifest, Sampling, Source, sha256_of
from keelmark.evaluate.measures import summarise
from keelmark.evaluate.probing import probe
from keelmark.evaluate.result import (
    MANIFEST,
    RESULT,
    SCORES,
    Result,
    make_result,
    read_result,
)
from keelmark.evaluate.run import Asking, Plan, Progress, Vary, samples
from keelmark.evaluate.suite import Choice, Loaded, load_suite, scorer
from keelmark.passport.files import write_whole

RUNS = "runs"
OWNER_ONLY = 0o700
"""Mode of folders that we make for runs: they hold prompts and answers in plain text."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to be evaluated.

    Attributes:
        suite: Id of a suite, or path of a suite's file.
        wanted: Whom to ask.
        sampling: What overrides the suite.
        judge: Who judges answers where the suite has a model do that; the model itself when None.
        variants: Name of a variant to what makes it.
        out: Folder for runs; that in the data folder when None.
        again: Whether a run that is complete is made anew.
        run_code: Whether programs that the model wrote may be run, in the sandbox.
        jobs: Processes that ask and score; with 1 this one does it.
        ray: Address of a Ray cluster that does it; "" for none.
    """

    suite: str
    wanted: Wanted = Wanted()
    sampling: Sampling = Sampling()
    judge: Wanted | None = None
    variants: Mapping[str, Vary] = {}
    out: Path | None = None
    again: bool = False
    run_code: bool = False
    jobs: int = 1
    ray: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has ended.

    Attributes:
        folder: Where it is kept.
        result: What came of it.
        cached: Whether it was complete before.
    """

    folder: Path
    result: Result
    cached: bool = False


def evaluate(order: Order, home: Home, person: Person, progress: Progress) -> Done:
    """Run a suite; go on where an earlier run with the same manifest ended.

    Raises:
        UsageError: The suite, its data or the target is wrong.
        KeelmarkError: With the sentence that says what is in the way.
    """
    return uvloop.run(_evaluate(order, home, person, progress))


async def _evaluate(order: Order, home: Home, person: Person, progress: Progress) -> Done:
    planned, seed = plan_of(load_suite(order.suite), order, home.data), order.sampling.seed
    check_helpers(order.jobs, order.ray, order.wanted.how)
    async with opened(order.wanted, home, person, seed=seed) as target:
        if order.judge is None:
            return await evaluate_on(target, None, planned, order, home, progress)
        async with opened(order.judge, home, person, seed=seed) as judge:
            return await evaluate_on(target, judge, planned, order, home, progress)


Planned: TypeAlias = tuple[Plan, tuple[Source, Source | None]]


async def evaluate_on(
    target: Opened,
    judge: Opened | None,
    planned: Planned,
    order: Order,
    home: Home,
    progress: Progress,
) -> Done:
    """Run what is planned on a target that is open already.

    Raises:
        KeelmarkError: With the sentence that says what is in the way.
    """
    plan, sources = planned
    asked = await looked_at(target, weighs=weighs(plan))
    judged = await looked_at(judge, weighs=False) if judge else None
    manifest = manifest_of(plan, sources, asked, judged)
    asking = Asking(target.client, judge.client if judge else None)
    return await _run(plan, manifest, asking, home, order, progress)


async def looked_at(target: Opened, *, weighs: bool) -> Asked:
    """Make sure that a target can do what the run needs; return it with what its answers told.

    Raises:
        KeelmarkError: It cannot.
    """
    await probe(target.client, weighs=weighs)
    seen = target.client.seen
    told = {
        field: next(iter(seen.get(f"x-keelmark-{field.replace('_', '-')}", ())), "")
        for field in ("model_digest", "policy_digest")
    }
    news = {field: value for field, value in told.items() if value}
    asked = msgspec.structs.replace(target.asked, **news)
    if weighs:
        await check_known_texts(target.client, asked.model_digest)
    return asked


def plan_of(loaded: Loaded, order: Order, data: Path) -> Planned:
    """Find the data of a suite; return what is to be asked, and which files it comes from.

    Raises:
        UsageError: The data is not here.
        IntegrityError: It is another edition.
    """
    suite, folders = loaded.suite, places(loaded.folder, data)
    count = order.sampling.shots
    path, sha256 = find(suite, suite.data, folders, loaded.folder)
    shots: Path | None = None
    told: Source | None = None
    if suite.shots.data and (suite.shots.count if count is None else count):
        shots, digest = find(suite, suite.shots.data, folders, loaded.folder)
        told = Source(file=shots.name, sha256=digest)
    plan = Plan(loaded, path, shots, order.sampling, order.variants)
    return plan, (Source(file=path.name, sha256=sha256), told)


def weighs(plan: Plan) -> bool:
    """Whether a run needs log-probabilities of prompts."""
    if isinstance(plan.loaded.suite.ask, Choice):
        return True
    first = next(samples(plan), None)
    return first is not None and any(hasattr(ask, "continuations") for ask in first.asks)


def manifest_of(
    plan: Plan, sources: tuple[Source, Source | None], asked: Asked, judge: Asked | None
) -> Manifest:
    """Return what decides a run, and what it is made on."""
    suite, make = plan.loaded.suite, plan.loaded.make
    data, shots = sources
    return Manifest(
        suite=suite,
        suite_digest=suite.digest,
        script=sha256_of(inspect.getsource(inspect.getmodule(make))) if make else "",  # type: ignore[arg-type]
        data=data,
        shots=shots,
        asked=asked,
        judge=judge,
        sampling=msgspec.structs.replace(plan.sampling, variants=tuple(plan.variants)),
        keelmark=__version__,
        machine=machine_facts(),
    )


async def _run(
    plan: Plan, manifest: Manifest, asking: Asking, home: Home, order: Order, progress: Progress
) -> Done:
    folder = (order.out or home.data / RUNS) / manifest.id
    finished = None if order.again or order.run_code else _finished(folder)  # code: scored again
    if finished:
        return Done(folder=folder, result=finished, cached=True)
    _prepare(folder, manifest, fresh=order.again)
    with helping(order.jobs, order.ray) as helpers:
        total, reason = 0, ""
        with Journal(folder) as journal, metered(folder, manifest.asked):
            try:
                total = await ask_with(helpers, plan, asking, journal, progress)
            except (UnavailableError, UsageError) as error:
                reason = error.message
        reason = reason or changed(asking.client)
        total = total or counted(plan)
        price = price_of(home.policy.quota, manifest.asked)
        result = settle(
            folder, plan, manifest, total, reason,
            run_code=order.run_code, price=price, helpers=helpers,
        )  # fmt: skip
    record_run(home, folder, manifest, result)
    return Done(folder=folder, result=result)


def changed(client: Client) -> str:
    """Why a run is not one run; "" when the same weights and policy answered all the time."""
    for name, what in (("model", "weights"), ("policy", "policy")):
        digests = client.seen.get(f"x-keelmark-{name}-digest", set())
        if len(digests) > 1:
            return f"The {what} changed while the run was on: {len(digests)} digests were seen."
    return ""


def _finished(folder: Path) -> Result | None:
    try:
        result = read_result(folder)
    except UsageError:
        return None
    return result if result.state == "complete" else None


def _prepare(folder: Path, manifest: Manifest, *, fresh: bool) -> None:
    try:
        folder.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
        for name in (REPLIES, AGAIN, SCORES, RESULT, SESSIONS) if fresh else ():
            (folder / name).unlink(missing_ok=True)
        if not (folder / MANIFEST).exists():
            write_whole(folder / MANIFEST, pretty(manifest))
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror}); choose another place with --out, or "
            "free some space."
        ) from None


def pretty(value: Any) -> bytes:
    """Return a value as the JSON that a person can read."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def settle(
    folder: Path,
    plan: Plan,
    manifest: Manifest,
    total: int,
    reason: str = "",
    *,
    run_code: bool = False,
    price: Money | None = None,
    helpers: Opener | None = None,
) -> Result:
    """Score what is kept of a run, and write scores and result into its folder.

    Args:
        folder: Of the run.
        plan: What was asked.
        manifest: What decided it.
        total: How many samples it should have.
        reason: Why it ended early; "" when it did not.
        run_code: Whether programs that the model wrote may be run, in the sandbox.
        price: What the model costs; None where nobody knows.
        helpers: Opens a pool that scores; None when this process does.

    Raises:
        UsageError: It cannot be written.
        IntegrityError: What is kept is of another run.
    """
    used: Counter[str] = Counter()
    names = getattr(scorer(plan.loaded.suite.scorer.id), "JUDGES", ())
    work = Scores(plan.loaded.suite, tuple(names), run_code)
    scored = score_with(helpers, plan, _counted(Journal(folder).kept(), used), work)
    draft = folder / f"{SCORES}.new"
    try:
        with draft.open("wb") as file:
            summary = summarise(_written(scored, file), plan.loaded.suite)
        counted = {name: used[name] for name in ("asks", "tokens_in", "tokens_out")}
        cost = spent(sessions(folder), **counted, cost=price)
        result = make_result(manifest, summary, total, cost, reason)
        draft.replace(folder / SCORES)
        write_whole(folder / RESULT, pretty(result))
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror}): free some space, and the same command "
            "goes on where it ended."
        ) from None
    return result


def _counted(kept: Iterator[Kept], used: Counter[str]) -> Iterator[Kept]:
    for one in kept:
        used["asks"] += len(one.replies)
        for reply in one.replies:
            used["tokens_in"] += reply.tokens_in
            used["tokens_out"] += reply.tokens_out
        yield one


def _written(scored: Iterator[Scored], file: BinaryIO) -> Iterator[Scored]:
    for one in scored:
        file.write(msgspec.json.encode(one) + b"\n")
        yield one
