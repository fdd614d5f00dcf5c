"""A policy file that changes under a running service."""

import asyncio
from contextlib import suppress

import pytest

from gateway_parts import MemoryRecorder
from keelmark import app
from keelmark.app.engines import Settings
from keelmark.app.reload import Watch, load_guard
from keelmark.observe.metrics import Metrics
from keelmark.serve.config import GatewayConfig
from keelmark.serve.gateway import build_app

BEFORE = "name: before\nextends: base.yaml\n"
TEXT = "write to ada@example.org"


class Scene:
    """A home, a gateway and the watch between them; nobody listens."""

    def __init__(self, folder):
        self.file = folder / "own.yaml"
        (folder / "base.yaml").write_text("extends: default\n")
        self.file.write_text(BEFORE)
        self.settings = Settings(data=folder / "data", policy=self.file)
        self.home = app.Home.open(self.settings.data, self.file)
        self.metrics, self.said = Metrics(), []
        guard = load_guard(self.settings)
        config = GatewayConfig(
            engines=(), guard=guard, recorder=MemoryRecorder(), keys=None, transport=None,
            policy=guard.policy,
        )  # fmt: skip
        self.gateway = build_app(config)
        self.watch = Watch(
            self.home, self.settings, self.gateway, guard,
            metrics=self.metrics, say=self.said.append,
        )  # fmt: skip

    def take(self, text=None):
        if text is not None:
            self.file.write_text(text)
        asyncio.run(self.watch.take())

    def records(self):
        kinds = ["policy.loaded", "policy.changed", "policy.refused"]
        return [(one.kind, one.body) for one in self.home.store.records(kinds)]

    def stale(self):
        return "keelmark_policy_stale 1" in self.metrics.render()


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path)
    yield made
    made.home.store.close()


def test_a_changed_policy_is_taken_up_and_both_digests_are_written_down(scene):
    old = scene.gateway.config.guard
    at_work = old.open()
    scene.take(BEFORE + "guard: {rules: [{id: personal-data-in, action: block}]}")
    new = scene.gateway.config.guard
    assert new.check(TEXT).verdict.stops
    assert scene.gateway.config.policy.name == "before"
    (loaded, body), (changed, digests) = scene.records()
    assert (loaded, changed) == ("policy.loaded", "policy.changed")
    assert body["policy_digest"] == new.policy_digest != old.policy_digest
    assert digests == {
        "policy_digest": new.policy_digest, "before": old.policy_digest, "name": "before"
    }  # fmt: skip
    assert not at_work.output_verdict().stops
    assert at_work.output_verdict().policy_digest == old.policy_digest
    assert not scene.stale()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "line 1 is not valid YAML"),
        (BEFORE + "guard: {rules: [{id: x, detector: none, action: flag}]}", "detector 'none'"),
        (BEFORE + "admission: {fail_on: low}", "restart, so that models are vetted"),
        ("extends: gone.yaml", "gone.yaml cannot be read"),
    ],
)
def test_a_policy_that_cannot_be_taken_up_is_refused_loudly(scene, text, said):
    before = scene.gateway.config
    scene.take(text)
    assert scene.gateway.config is before
    assert said in scene.gateway.note
    assert said in scene.said[-1]
    assert scene.stale()
    ((kind, body),) = scene.records()
    assert (kind, body["policy_digest"]) == ("policy.refused", before.guard.policy_digest)
    assert said in body["reason"]
    scene.take(BEFORE)
    assert (scene.gateway.note, scene.stale(), len(scene.records())) == ("", False, 1)


def test_a_file_that_says_the_same_changes_nothing(scene):
    before = scene.gateway.config
    scene.take("# a comment\n" + BEFORE)
    assert scene.gateway.config is before
    assert scene.records() == []


def test_files_are_watched_with_what_they_extend_until_they_come_to_rest(scene):
    steps = iter(range(12))

    async def pause(_seconds):
        step = next(steps)
        if step == 2:
            text = "extends: default\nguard: {remove: [secrets]}"
            (scene.file.parent / "base.yaml").write_text(text)
        if step == 3:
            assert scene.records() == [], "not before it has come to rest"
        await asyncio.sleep(0)

    with suppress(RuntimeError, StopIteration):
        asyncio.run(scene.watch.run(pause))
    assert [kind for kind, _ in scene.records()] == ["policy.loaded", "policy.changed"]
    rules = scene.gateway.config.policy.guard.rules
    assert "secrets" not in [rule.id for rule in rules]
