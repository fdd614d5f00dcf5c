"""Who gets in: every route, every kind of key; and what names, paths and secrets may not do."""

import ast
import inspect
import time

import msgspec
import pytest

from gateway_parts import ENGINE_KEY, MemoryKeys, run, stack
from keelmark.core.errors import UsageError
from keelmark.serve import admin, openapi
from keelmark.serve import keys as keys_module
from keelmark.serve.fake import Script
from keelmark.serve.gateway import ROUTES
from keelmark.serve.keys import new_key

OPEN = {"/healthz", "/readyz"}
"""What anybody may ask."""
ADMIN = {"/metrics"}
PROXIED = {"x-forwarded-for": "192.0.2.1"}
"""So that `/metrics`, open to this machine itself, asks for a key."""
ADDRESSES = [(method, path) for path, methods in ROUTES.items() for method in methods]
ADDRESSES += [("GET", "/v1/models/fake"), ("GET", "/v1/models/a/b")]
ADDRESSES += [("POST", start + "x/stop") for start in admin.BELOW]
CLOSED = [address for address in ADDRESSES if address[1] not in OPEN]


def demanded(path):
    """The scope that an address must ask for."""
    steers = path.startswith("/api/") and path != openapi.PATH
    return "admin" if path in ADMIN or steers else "models"


def code_of(answer):
    return (answer.get("error") or {}).get("code")


async def ask(s, method, path, headers):
    headers = {"content-type": "application/json", **PROXIED, **headers}
    body = b"{}" if method != "GET" else None
    async with s.http.request(method, s.url + path, data=body, headers=headers) as response:
        raw = await response.read()
        return response.status, msgspec.json.decode(raw), response.headers


def strangers(s):
    """Keys that count for nothing here, by what is wrong with them."""
    foreign, _ = MemoryKeys().add("of another service", ("models", "admin"))
    expired, key = s.keys.add("expired", ("models", "admin"), time.time() + 60)
    s.keys.keys[key.hash] = msgspec.structs.replace(key, expires=time.time() - 1)
    revoked, key = s.keys.add("revoked", ("models", "admin"))
    s.keys.keys[key.hash] = msgspec.structs.replace(key, revoked=time.time() - 1)
    kinds = {"foreign": foreign, "expired": expired, "revoked": revoked, "by its id": s.key.id}
    return {
        "none": {},
        "empty": {"authorization": "Bearer "},
        "by its hash": {"authorization": f"Bearer {s.key.hash.hex()}"},
        "of the engine": {"authorization": f"Bearer {ENGINE_KEY}"},
        **{kind: {"authorization": f"Bearer {secret}"} for kind, secret in kinds.items()},
        **{f"{kind}, x-api-key": {"x-api-key": secret} for kind, secret in kinds.items()},
    }


def test_no_address_opens_to_a_key_that_does_not_count():
    async def scene():
        async with stack() as s:
            for kind, headers in strangers(s).items():
                for method, path in CLOSED:
                    status, answer, out = await ask(s, method, path, headers)
                    assert (status, code_of(answer)) == (401, "invalid_api_key"), (kind, path)
                    assert out["www-authenticate"] == 'Bearer realm="keelmark"'
            assert s.fake.received == []
            assert s.recorder.records == [], "nobody's calls are nobody's records"

    run(scene)


def test_no_address_opens_to_a_key_with_too_small_a_scope():
    async def scene():
        async with stack() as s:
            secrets = {scope: s.keys.add(scope, (scope,))[0] for scope in ("models", "admin")}
            for method, path in CLOSED:
                other = secrets["models" if demanded(path) == "admin" else "admin"]
                right = secrets[demanded(path)]
                status, answer, _ = await ask(s, method, path, {"authorization": f"Bearer {other}"})
                assert (status, code_of(answer)) == (403, "missing_scope"), path
                if path not in ADMIN:
                    found = await ask(s, method, path, {"authorization": f"Bearer {right}"})
                    assert found[0] not in (401, 403), path
            assert s.fake.received == []

    run(scene)


def test_addresses_that_are_not_there_say_nothing_of_those_that_are():
    climbs = (
        "/v1/models/../../etc/passwd",
        "/v1/models/..%2f..%2fetc%2fpasswd",
        "/v1/models/%2e%2e/%2e%2e/keelmark.db",
        "/v1/models//etc/passwd",
        "/v1/models/fake%00.gguf",
        "/v1/models/..\\..\\keelmark.db",
    )
    gone = (
        "/../keelmark.db",
        "/v1/../../etc/passwd",
        "/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/.git",
    )

    async def scene():
        async with stack() as s:
            from yarl import URL  # noqa: PLC0415 (aiohttp's own: keeps a path as it is written)

            for path in (*climbs, *gone):
                url = URL(s.url + path, encoded=True)
                async with s.http.get(url, headers=s.auth) as response:
                    answer = await response.json()
                    assert response.status == 404
                    assert code_of(answer) in ("model_not_found", "not_found")
                    assert "root:" not in str(answer)
            for name in ("../../etc/passwd", "/etc/passwd", "a/../b", "file:///etc/passwd"):
                status, answer, _ = await s.chat(model=name)
                assert status in (400, 404), name
                assert code_of(answer) in ("model_not_found", "invalid_request")
            assert s.fake.received == []

    run(scene)


CONTROL = ("fake\r\nset-cookie: a=b", "fake\x1b[31m", "fake\x00", "fake\u2028", "fake\u009b0m")


@pytest.mark.parametrize("name", CONTROL, ids=ascii)
def test_control_characters_in_names_reach_no_header_log_or_record(name, caplog):
    async def scene():
        async with stack() as s:
            for body in ({"model": name}, {"user": name}, {"metadata": {"a": name}}):
                _, answer, headers = await s.chat(**body)
                assert "set-cookie" not in headers
                assert name not in str(answer)
                assert all(name not in value for value in headers.values())
            for trace, _ in s.recorder.records:
                assert name not in (trace.model, trace.engine, *trace.attributes.values())
            s.recorder.broken = True
            await s.chat(model=name, user=name)
            await s.chat(user=name)
        assert name not in caplog.text
        assert not set("\r\x1b\x00\u2028\u009b") & set(caplog.text)

    run(scene)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "a\u202eb"])
def test_a_key_has_a_name_that_can_be_shown(name):
    with pytest.raises(UsageError, match="can be shown"):
        new_key(name)


def test_keys_are_looked_up_by_their_hash_and_compared_in_constant_time():
    """Nothing in the module compares secrets or hashes with `==`, and no secret leaves it."""
    tree = ast.parse(inspect.getsource(keys_module))
    (recognise,) = (n for n in ast.walk(tree) if getattr(n, "name", "") == "recognise")
    compared = {ast.unparse(n) for n in ast.walk(recognise) if isinstance(n, ast.Compare)}
    secret = {one for one in compared if "hash" in one or "digest" in one}
    assert not secret, secret
    assert {one for one in compared if "secret" in one} <= {"len(secret) > LONGEST"}
    assert "hmac.compare_digest(digest," in ast.unparse(recognise)

    async def scene():
        asked = []
        async with stack() as s:
            find = s.keys.find

            async def watched(key_hash):
                asked.append(key_hash)
                return await find(key_hash)

            s.keys.find = watched
            await s.get("/v1/models")
            assert [len(one) for one in asked] == [32]

    run(scene)


def test_no_secret_in_errors_and_logs(caplog):
    """Also not when we fail ourselves: what an exception quotes stays out of log and answer."""
    said = "the harbour master's number is 4711"

    async def scene():
        async with stack() as s:
            quoted = f"{said} {s.secret} {ENGINE_KEY}"

            class BrokenGuard:
                judges_form = False
                policy_digest = "sha256:policy"

                def open(self, origin=None):
                    raise ValueError(quoted)

            async def broken(trace, content):
                raise OSError(quoted)

            answers = [await s.chat(said, stream=stream) for stream in (False, True)]
            s.recorder.record = broken
            answers += [await s.chat(said, stream=stream) for stream in (False, True)]
            s.fake.script = Script(fault="error", message=quoted, status=400)
            answers.append(await s.chat(said))
            s.app.use(BrokenGuard(), s.app.config.policy)
            answers.append(await s.chat(said))
            assert answers[-1][1]["error"]["code"] in ("internal_error", "not_recorded")
            answers.append(await s.post("/v1/chat/completions", b'{"' + said.encode()))
            for secret in (s.secret, ENGINE_KEY, said):
                assert secret not in caplog.text
                assert secret not in str(answers)
        assert "not recorded" in caplog.text

    run(scene)
