"""Warming up: what is loaded on first use is there before the first request."""

import asyncio
import contextlib
from types import SimpleNamespace

from guard_samples import SAMPLES, Address
from keelmark import app
from keelmark.app import service
from keelmark.app.engines import Person, Settings
from keelmark.app.reload import load_guard
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.guard import Guard

READ = []


class Lazy(Address):
    """Says which texts it has read."""

    def find(self, text, start=0):
        READ.append(text)
        return super().find(text, start)


class Broken(Address):
    """Fails on whatever it reads."""

    def find(self, text, start=0):
        raise ValueError(text[start:])


DETECTORS = {**SAMPLES, "lazy": Lazy, "broken": Broken}


def guard(*rules):
    return Guard(Policy(guard=GuardRules(rules=rules)), detectors=DETECTORS)


def test_every_detector_reads_its_own_examples():
    READ.clear()
    guard(Rule(id="a", detector="address", action="flag")).warm()
    assert READ == []
    for fields in ({}, {"mode": "shadow"}, {"stage": "tool_call"}, {"stage": "retrieved"}):
        READ.clear()
        guard(Rule(id="l", detector="lazy", action="block", **fields)).warm()
        assert set(READ) == {example.text for example in Lazy.examples}, fields


def test_a_detector_that_fails_does_so_where_it_counts():
    judge = guard(Rule(id="b", detector="broken", action="flag"))
    judge.warm()
    assert judge.check("a@b.example").verdict.stops


def test_warming_up_leaves_no_trace_in_verdicts():
    rule = Rule(id="a", detector="address", action="redact")
    warm, cold = guard(rule), guard(rule)
    warm.warm()
    for text in ("a@b.example", "nothing"):
        assert warm.check(text).findings == cold.check(text).findings
        assert warm.check(text).verdict.coverage == 1.0


def test_nobody_is_answered_before_the_guard_is_warm(tmp_path, monkeypatch):
    done, said = [], []

    @contextlib.asynccontextmanager
    async def no_engines(*_):
        yield SimpleNamespace(engines=[], way=None)

    async def answer(front, *_):
        done.append(("ready", front._gateway.config.guard))

    monkeypatch.setattr(service, "open_engines", no_engines)
    monkeypatch.setattr(service, "_answer", answer)
    monkeypatch.setattr(service, "settle_memory", lambda: None)  # it is for the whole process
    monkeypatch.setattr(Guard, "warm", lambda self: done.append(("warm", self)))
    settings = Settings(data=tmp_path)
    judge = load_guard(settings)
    with app.Home.open(tmp_path) as home:
        asyncio.run(service._run(home, judge, settings, None, Person(said.append, None)))
    assert done == [("warm", judge), ("ready", judge)]
    assert any(line.startswith("The guard is warm (") for line in said)
