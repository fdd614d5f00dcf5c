"""A service takes up a changed policy file without a restart, and shows what is in shadow."""

import json
import time
import urllib.request

import pytest
from openai import BadRequestError

from .conftest import Service

pytestmark = pytest.mark.engine
TEXT = "write to ada@example.org"


def ask(client):
    return client.chat.completions.create(
        model="fake", messages=[{"role": "user", "content": TEXT}], max_tokens=4
    )


def ready(service):
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/readyz") as answer:
        return json.load(answer)


def until(true, seconds=15):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.1)


def test_shadow_then_enforced_then_broken(tmp_path, fake_engine):
    policy = tmp_path / "own.yaml"
    rule = "guard: {rules: [{id: personal-data-in, action: block%s}]}"
    policy.write_text("extends: default\n" + rule % ", mode: shadow")
    service = Service(tmp_path / "data", "--upstream", fake_engine[1], "--policy", policy).wait()
    try:
        with service.client() as client:
            ask(client)
            traces = json.loads(service.run("traces", "--json").stdout)
            assert traces[0]["input"]["outcome"] == "allow"
            assert traces[0]["input"]["shadow"][0]["outcome"] == "block"
            policy.write_text("extends: default\n" + rule % "")
            until(lambda: "policy.changed" in service.run("ledger", "show", "--json").stdout)
            with pytest.raises(BadRequestError, match="personal-data-in"):
                ask(client)
            policy.write_text("extends: nothing-of-that-name\n")
            until(lambda: "the one before stays in force" in ready(service).get("note", ""))
            with pytest.raises(BadRequestError):
                ask(client)
    finally:
        service.stop()
    assert "WARNING: The changed policy is not taken up" in service.said()
