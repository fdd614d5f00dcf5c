"""What is worth knowing of a policy's cache."""

from keelmark import app

TEXT = "extends: default\ncache: {enabled: true}\nretention: {content: CONTENT}\n"


def test_a_cache_that_may_keep_nothing_is_said(tmp_path):
    for content, said in (("none", True), ("encrypted", False)):
        path = tmp_path / f"{content}.yaml"
        path.write_text(TEXT.replace("CONTENT", content), encoding="utf-8")
        notes = " ".join(app.policy_notes(app.load_policy(path), tmp_path))
        assert ("its cache keeps nothing" in notes) == said
