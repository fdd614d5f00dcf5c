"""A policy file that changes under a running service."""

import asyncio
import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway_parts import MemoryRecorder
from keelmark import app
from keelmark.app.engines import Settings
from keelmark.app.reload import Watch, load_guard
from keelmark.core.errors import UsageError
from keelmark.guard import Guard
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

    def go_through(self, *steps):
        """Let the watch run, with one step before each look at the files."""
        left = iter(steps)

        async def pause(_seconds):
            try:
                next(left)()
            except StopIteration:
                raise asyncio.CancelledError from None

        with suppress(asyncio.CancelledError):
            asyncio.run(self.watch.run(pause))
        assert next(left, None) is None, "the watch went on to the end"

    def records(self):
        kinds = ["policy.loaded", "policy.changed", "policy.refused"]
        return [(one.kind, one.body) for one in self.home.store.records(kinds)]

    def stale(self):
        return "keelmark_policy_stale 1" in self.metrics.render()


def nothing():
    """What happens most of the time."""


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


STRICTER = "extends: default\nguard: {remove: [secrets]}"


def test_files_are_watched_with_what_they_extend_until_they_come_to_rest(scene):
    def half():
        (scene.file.parent / "base.yaml").write_text("extends: default\nguard: {remove: [sec")

    def whole():
        assert scene.records() == [], "not before it has come to rest"
        (scene.file.parent / "base.yaml").write_text(STRICTER)

    scene.go_through(nothing, half, nothing, whole, *4 * [nothing])
    assert [kind for kind, _ in scene.records()] == ["policy.loaded", "policy.changed"]
    rules = scene.gateway.config.policy.guard.rules
    assert "secrets" not in [rule.id for rule in rules]


def test_what_changed_before_the_watch_began_is_taken_up(scene):
    scene.file.write_text(BEFORE + "guard: {remove: [secrets]}")
    scene.go_through(*4 * [nothing])
    assert [kind for kind, _ in scene.records()] == ["policy.loaded", "policy.changed"]


class Files(NamedTuple):
    own: Path
    base: Path


BROKEN = {
    "the file is broken YAML": lambda f: f.own.write_text("name: [a"),
    "the file is gone": lambda f: f.own.unlink(),
    "the file is empty": lambda f: f.own.write_text(" \n"),
    "the file is no text": lambda f: f.own.write_bytes(b"\xff\xfe\x00"),
    "the file is a folder": lambda f: (f.own.unlink(), f.own.mkdir()),
    "the file is a pipe": lambda f: (f.own.unlink(), os.mkfifo(f.own)),
    "the file is far too long": lambda f: f.own.write_text("#" * 5_000_000),
    "the file extends itself": lambda f: f.own.write_text("extends: own.yaml"),
    "the file is no policy": lambda f: f.own.write_text("[1, 2]"),
    "a link goes nowhere": lambda f: (f.own.unlink(), f.own.symlink_to("gone.yaml")),
    "a link goes in a circle": lambda f: (f.own.unlink(), f.own.symlink_to(f.own.name)),
    "what it extends is broken": lambda f: f.base.write_text("name: ["),
    "what it extends is gone": lambda f: f.base.unlink(),
    "what it extends is a folder": lambda f: (f.base.unlink(), f.base.mkdir()),
    "what it extends is a pipe": lambda f: (f.base.unlink(), os.mkfifo(f.base)),
    "what it extends extends it": lambda f: f.base.write_text("extends: own.yaml"),
    "what it extends is no path": lambda f: f.own.write_text('extends: "a\\0.yaml"'),
    "it extends itself far too often": lambda f: chain(f.own),
}


def chain(own):
    names = [f"{own.stem}.{number}.yaml" for number in range(400)]
    for name, above in pairwise(["own.yaml", *names]):
        (own.parent / name).write_text(f"extends: {above}")
    (own.parent / names[-1]).write_text("extends: own.yaml")


def mended(own, base):
    for path in (own, base):
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
    base.write_text("extends: default\n")
    own.write_text(BEFORE + "guard: {remove: [secrets]}")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", BROKEN)
def test_whatever_happens_to_the_files_the_old_policy_holds_and_the_next_good_one_is_taken(
    scene, what
):
    before = scene.gateway.config
    files = Files(scene.file, scene.file.parent / "base.yaml")

    def broken():
        BROKEN[what](files)

    def refused():
        assert scene.gateway.config is before
        assert "stays in force" in scene.gateway.note
        assert any("stays in force" in line for line in scene.said)
        assert scene.stale()
        assert [kind for kind, _ in scene.records()] == ["policy.refused"]

    def good():
        mended(*files)

    def taken():
        assert (scene.gateway.note, scene.stale()) == ("", False)
        rules = scene.gateway.config.policy.guard.rules
        assert "secrets" not in [rule.id for rule in rules]

    rest = 5 * [nothing]
    scene.go_through(*rest, broken, *rest, refused, good, *rest, taken)


def test_what_is_extended_may_be_mended_alone(scene):
    base = scene.file.parent / "base.yaml"

    def good():
        assert scene.stale()
        base.write_text(STRICTER)

    rest = 5 * [nothing]
    scene.go_through(*rest, base.unlink, *rest, good, *rest)
    assert not scene.stale()
    assert len(scene.gateway.config.policy.guard.rules) == 4


def test_a_link_that_is_turned_over_is_followed(scene):
    """As a mounted ConfigMap changes: own.yaml -> ..data/own.yaml, and ..data is replaced."""
    folder = scene.file.parent
    for name, text in (("v1", BEFORE), ("v2", BEFORE + "guard: {remove: [secrets]}")):
        (folder / name).mkdir()
        (folder / name / "own.yaml").write_text(text)
    (folder / "..data").symlink_to("v1")
    scene.file.unlink()
    scene.file.symlink_to("..data/own.yaml")
    for name in ("v1", "v2"):
        (folder / name / "base.yaml").symlink_to("../base.yaml")

    def turn():
        (folder / "..new").symlink_to("v2")
        (folder / "..new").rename(folder / "..data")

    rest = 5 * [nothing]
    scene.go_through(*rest, turn, *rest)
    assert [kind for kind, _ in scene.records()] == ["policy.loaded", "policy.changed"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_refused_until_it_may(scene):
    def locked():
        scene.file.chmod(0)

    def opened():
        assert "Permission denied" in scene.gateway.note
        scene.file.chmod(0o600)

    rest = 5 * [nothing]
    scene.go_through(*rest, locked, *rest, opened, *rest)
    assert not scene.stale()


def test_the_watch_goes_on_when_the_ledger_cannot_be_written(scene, monkeypatch):
    before, append = scene.gateway.config, scene.home.store.append

    def full(*_):
        raise OSError(28, "No space left on device")

    def broken():
        monkeypatch.setattr(scene.home.store, "append", full)
        scene.file.write_text("name: [")

    def good():
        assert scene.stale()
        scene.file.write_text(BEFORE + "guard: {remove: [secrets]}")

    def refused():
        assert scene.gateway.config is before, "what is not written down is not in force"
        assert "OSError" in scene.gateway.note
        monkeypatch.setattr(scene.home.store, "append", append)
        scene.file.write_text(BEFORE + "guard: {remove: [invisible-text]}")

    rest = 5 * [nothing]
    scene.go_through(*rest, broken, *rest, good, *rest, refused, *rest)
    assert not scene.stale()
    assert [kind for kind, _ in scene.records()] == ["policy.loaded", "policy.changed"]


def test_a_defect_of_the_watch_does_not_end_it(scene, monkeypatch):
    stamps = scene.watch._stamps

    def defect():
        monkeypatch.setattr(scene.watch, "_stamps", lambda: 1 / 0)

    def mended():
        assert "ZeroDivisionError" in scene.gateway.note
        assert scene.stale()
        monkeypatch.setattr(scene.watch, "_stamps", stamps)
        scene.file.write_text(BEFORE + "guard: {remove: [secrets]}")

    rest = 5 * [nothing]
    scene.go_through(*rest, defect, *rest, mended, *rest)
    assert not scene.stale()


def test_a_new_guard_is_warm_before_it_takes_over(scene, monkeypatch):
    seen = []
    monkeypatch.setattr(Guard, "warm", lambda self: seen.append((self, scene.gateway.config.guard)))
    old = scene.gateway.config.guard
    scene.take(BEFORE + "guard: {remove: [secrets]}")
    assert seen == [(scene.gateway.config.guard, old)]


def test_a_pipe_is_no_policy_to_begin_with(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is a pipe, which can be read only once; name a file"):
        load_guard(Settings(data=tmp_path / "data", policy=tmp_path / "pipe"))


def test_told_to_look_again_it_takes_up_what_has_not_changed(scene):
    looks = []

    async def take():
        looks.append(1)
        await Watch.take(scene.watch)

    scene.watch.take = take
    scene.go_through(*[nothing] * 6)
    assert len(looks) == 1
    scene.go_through(scene.watch.again, *[nothing] * 6)
    assert len(looks) == 2
