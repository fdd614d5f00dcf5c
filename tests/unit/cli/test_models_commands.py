"""`keelmark models` and `keelmark rollout`, as a person sees them."""

import asyncio
import json
import re
import threading

import pytest

from keelmark import app
from keelmark.app import decisions
from keelmark.app.decisions import ANSWER, SERVICE, Granted, ModelReport, ServiceReport
from keelmark.cli.main import run
from keelmark.core import semconv
from keelmark.core.trace import Trace
from keelmark.store.board import notes, pin

MODELS = (
    ModelReport(
        name="chat", state="loaded", engine="llama", local=True, memory=3 << 29, requests=2
    ),
    ModelReport(
        name="large",
        state="failed",
        engine="llama:large",
        local=True,
        memory=5 << 30,
        reckoned=False,
        reason="It was changed.",
    ),
    ModelReport(name="gpt", state="ready", engine="openai"),
)


def post(home, *, stopped=()):
    """A service tells how it stands."""
    report = ServiceReport(
        id="s", place="here", budget=8 << 30, taken=3 << 29, models=MODELS, stopped=stopped
    )
    home.store.submit(lambda transaction: pin(transaction, SERVICE, "s", report))


@pytest.fixture
def home():
    with app.Home.open() as opened:
        yield opened


def said(capsys, *words):
    code = run([*words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_list_shows_services_states_and_memory(home, capsys):
    post(home)
    decisions.stop_model(home.store, "gpt", "it lies", "cli:eva")
    code, out, _ = said(capsys, "models", "list")
    assert code == 0
    assert "service on here: 1,536 of 8,192 MiB taken" in out
    assert re.search(r"chat +loaded +1,536 MiB +llama +2 at work, 0 waiting", out)
    assert re.search(r"large +failed +~5,120 MiB", out)
    assert "It was changed." in out
    assert re.search(r"gpt +stopped +- +openai\n", out)
    assert "gpt is stopped, by cli:eva: it lies" in out
    rows = {row["name"]: row for row in json.loads(said(capsys, "models", "list", "--json")[1])}
    assert rows["gpt"]["stopped"]["reason"] == "it lies"
    assert rows["chat"]["services"][0]["memory"] == 3 << 29
    assert rows["chat"]["stopped"] is None


def test_stop_and_start_without_and_with_a_service(home, capsys):
    assert said(capsys, "models", "stop", "chat")[0] == 2
    home.store.put_model("chat", home.data, "sha256:1")
    code, _, err = said(capsys, "models", "stop", "chat", "--reason", "it lies")
    assert (code, "holds from the next start on" in err) == (0, True)
    post(home, stopped=("chat",))
    assert "by cli" in said(capsys, "models", "stop", "chat")[2]
    post(home)
    assert "Taken up by here." in said(capsys, "models", "start", "chat")[2]
    assert "not stopped" in said(capsys, "models", "start", "chat")[2]


def grant(home, answer):
    """A service answers the next wish."""

    def wait():
        found = decisions.wait_for(
            lambda: home.store.read(lambda db: notes(db, decisions.WISH)) or None, 30
        )
        home.store.submit(lambda transaction: pin(transaction, ANSWER, found[0].name, answer))

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("verb", ["load", "unload", "add", "remove"])
@pytest.mark.parametrize("done", [True, False])
def test_wishes_are_told_to_the_service_and_its_answer_to_the_person(home, capsys, verb, done):
    post(home)
    service = grant(home, Granted(done=done, message="This is what came of it."))
    code, _, err = said(capsys, "models", verb, "chat", "--reason", "why")
    service.join()
    assert "This is what came of it." in err
    assert code == (0 if done else 2)


@pytest.mark.parametrize("verb", ["load", "unload", "add", "remove"])
def test_wishes_need_a_service(capsys, verb):
    code, _, err = said(capsys, "models", verb, "chat")
    assert (code, "keelmark up" in err) == (2, True)


def test_a_rollout_from_its_start_to_its_end(home, capsys):
    assert "no rollout" in said(capsys, "rollout", "status")[2]
    post(home)
    words = ("--steps", "20,100", "--every", "2h", "--least", "5", "--worse", "0")
    code, _, err = said(capsys, "rollout", "start", "chat", "--to", "gpt", *words)
    assert (code, "20 % of chat goes to gpt" in err) == (0, True)
    (rollout,) = decisions.rollouts(home.store)
    assert (rollout.plan.seconds, rollout.plan.steps) == (7200.0, (20, 100))
    arms = {"chat": 0, "gpt": 0}
    for number in range(40):
        trace = Trace(
            trace_id=f"{number:032x}",
            started=0.0,
            key_id="k",
            subject=f"s{number}",
            model="chat",
            engine="e",
            status=200,
            attributes={semconv.ROLLOUT: rollout.id, semconv.ROLLOUT_STEP: 0},
        )
        trace.attributes[semconv.ROLLOUT_ARM] = rollout.arm(trace)
        arms[rollout.arm(trace)] += 1
        asyncio.run(home.store.record(trace, None))
    code, out, _ = said(capsys, "rollout", "status")
    assert "chat -> gpt: running, 20 %" in out
    assert f"{arms['chat']} of the old, {arms['gpt']} of the new" in out
    assert re.search(rf"failed requests +0/{arms['chat']} against 0/{arms['gpt']}", out)
    (told,) = json.loads(said(capsys, "rollout", "status", "--json")[1])
    assert told["evidence"]["counted"] == {"old": arms["chat"], "new": arms["gpt"]}
    assert said(capsys, "rollout", "abort", "chat", "--reason", "enough")[0] == 0
    assert "aborted, 0 %" in said(capsys, "rollout", "status")[1]
    assert said(capsys, "rollout", "abort", "chat")[0] == 2


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("rollout", "start", "a", "--to", "b", "--every", "10"), "10m"),
        (("rollout", "start", "a", "--to", "b", "--steps", "1;2"), "1,10,50,100"),
        (("rollout", "start", "a", "--to", "b", "--steps", "50,10,100"), "rise to 100"),
        (("rollout", "start", "a", "--to", "a"), "itself"),
        (("rollout", "start", "a"), "--to"),
        (("up", "--memory", "8"), "8G"),
        (("up", "--memory", "lots"), "8G"),
    ],
)
def test_slips_are_explained(capsys, words, hint):
    code, _, err = said(capsys, *words)
    assert (code, hint in err) == (2, True), err
