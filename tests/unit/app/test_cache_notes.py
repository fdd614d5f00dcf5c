"""What is worth knowing of a policy's cache."""

from keelmark import app
from keelmark.app.home import Home, make_guard
from keelmark.app.reload import record_policy
from keelmark.core import events

TEXT = "extends: default\ncache: {enabled: true}\nretention: {content: CONTENT}\n"


def test_a_cache_that_may_keep_nothing_is_said(tmp_path):
    for content, said in (("none", True), ("encrypted", False)):
        path = tmp_path / f"{content}.yaml"
        path.write_text(TEXT.replace("CONTENT", content), encoding="utf-8")
        notes = " ".join(app.policy_notes(app.load_policy(path), tmp_path))
        assert ("its cache keeps nothing" in notes) == said


def test_who_may_get_whose_answers_is_in_the_ledger(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("extends: default\ncache: {enabled: true, shared_by: team}\n", encoding="utf-8")
    with Home.open(tmp_path / "data", path) as home:
        record_policy(home, make_guard(home.policy, path, data=tmp_path / "data"))
        (loaded,) = home.store.records([events.POLICY_LOADED])
        assert loaded.body["cache"]["shared_by"] == "team"
