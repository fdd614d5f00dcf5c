"""Every fault, in every transport and protocol: what the client got, what the record says.

Whatever happens, a call has one record, is sent to the engine once, and lets nothing out.
"""

import asyncio
import datetime as dt
import re
import ssl
import tempfile
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from faults import FAULTS, QUOTES
from gateway_parts import ENGINE_KEY, run, stack
from keelmark.app.quota import StoreMeter, meter_for
from keelmark.core.events import REQUEST
from keelmark.core.policy import Limits
from keelmark.core.quota import Budget, Price, Quota
from keelmark.core.semconv import RESPONSE_MODEL
from keelmark.guard import Guard
from keelmark.serve.fake import Script
from keelmark.store import Store
from keelmark.store.usage import sum_usage

EMAIL, SECRET = "ada.lovelace@example.org", "AKIAQ7ZP2X4K8WJABCDE"
PROMPT = f"Write to {EMAIL}."
PIECES = ("Grüße ", "an <EMAI", "L_1>: the key AKIAQ7Z", "P2X4K8WJABCDE", " is gone 🌊.")
LEAVES = f"Grüße an {EMAIL}: the key [AWS_ACCESS_KEY] is gone 🌊."
TRANSPORTS = ("direct", "pyreqwest", "aiohttp")
ASKS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": PROMPT}]},
    "/v1/messages": {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 50},
    "/v1/responses": {"input": PROMPT},
}
QUOTA = Quota(
    budgets=(Budget(id="all", window="total", tokens=10**9),),
    prices=(Price(input=Decimal(1), output=Decimal(2)),),
)
ENDS = {"stop", "end_turn", "completed"}


@pytest.fixture(scope="module")
def guard():
    return Guard()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    key = ed25519.Ed25519PrivateKey.generate()
    with Store.open(tmp_path_factory.mktemp("faults"), signer=key) as opened:
        yield opened
        assert opened.verify().ok
        records = [record.body for record in opened.records([REQUEST])]
        billed = [body["usage"] for body in records if "usage" in body]
        (used,) = opened.read(lambda db: sum_usage(db, (), 0, 1e12, {}))
        for unit in ("input", "output", "money"):
            assert sum(one[unit] for one in billed) == getattr(used, unit)


@asynccontextmanager
async def broken_way(s, door):
    """What is wrong with the way to the engine."""
    s.engine.first_byte_seconds = 0.2 if door == "patience" else 60.0
    if door == "closed":
        s.engine.url = "http://127.0.0.1:9"
    elif door == "plain":
        s.engine.url = s.engine.url.replace("http:", "https:")
    elif door == "self-signed":
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=_self_signed())
        s.engine.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield
        return
    yield


def _self_signed():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(1))
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem += key.private_bytes(serialization.Encoding.PEM, *form)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def _call(s, path, *, stream):
    body = {"model": "fake", **ASKS[path], "stream": stream}
    headers = {**s.auth, "content-type": "application/json"}
    async with s.http.post(
        s.url + path, data=msgspec.json.encode(body), headers=headers
    ) as response:
        return response.status, await response.read(), response.headers


def _events(raw):
    data = [line.removeprefix(b"data: ") for line in raw.split(b"\n") if line.startswith(b"data: ")]
    return [msgspec.json.decode(one) for one in data if one != b"[DONE]"]


def _text(events):
    """What a person would read."""
    text = ""
    for event in events:
        match event:
            case {"choices": choices}:
                parts = [c.get("message") or c.get("delta") or {} for c in choices]
                text += "".join(p.get("content") or "" for p in parts)
            case {"type": "content_block_delta", "delta": {"text": said}}:
                text += said
            case {"type": "response.output_text.delta", "delta": said}:
                text += said
            case {"type": "message", "content": blocks}:
                text += "".join(block["text"] for block in blocks)
            case {"object": "response", "output": items}:
                text += "".join(c["text"] for item in items for c in item["content"])
    return text


def _code(event):
    """The code of an error, in whatever protocol."""
    error = event.get("error") or event
    return error.get("code") or "" if isinstance(error, dict) else ""


def _end(events):
    """How the model ended, in whatever protocol."""
    found = re.findall(
        rb'"(?:finish_reason|stop_reason|status)":"(stop|end_turn|completed)"',
        msgspec.json.encode(events),
    )
    return found[-1].decode() if found else ""


def _check(s, store, fault, seen, answer, *, stream):
    status, raw, headers = answer
    assert (status, headers.get("retry-after", "")) == (seen.status, seen.retry), raw
    streamed = headers["content-type"].startswith("text/event-stream")
    assert streamed == (stream and status == 200)
    events = _events(raw) if streamed else [msgspec.json.decode(raw)]
    text = _text(events)
    if seen.code:
        assert seen.code in map(_code, events[-2:]), raw
        assert b"[DONE]" not in raw
        assert LEAVES.startswith(text)
    else:
        assert _end(events) in ENDS, raw
        assert text == LEAVES + fault.more
    _check_nothing_left(raw)
    _check_record(s, store, fault, seen, headers["x-keelmark-trace-id"])


def _check_nothing_left(raw):
    assert SECRET.encode() not in raw
    assert b"AKIA" not in raw
    assert b"failed on" not in raw, "the words of the engine's error"
    assert ENGINE_KEY.encode() not in raw


def _check_record(s, store, fault, seen, trace_id):
    (record,) = (r.body for r in store.records([REQUEST]) if r.body["trace_id"] == trace_id)
    tokens = dict(zip(("input", "output"), seen.tokens or (None, None), strict=True))
    assert (record["status"], record["error"], record["tokens"]) == (seen.status, seen.code, tokens)
    assert record["outcome"]["input"] == "redact"
    (trace,) = (t for t in s.traces if t.trace_id == trace_id)
    if fault.id == "wrong-model":
        assert (trace.model, trace.attributes[RESPONSE_MODEL]) == ("fake", "other")
    usage = record.get("usage")
    if seen.tokens:
        assert (usage["input"], usage["output"]) == seen.tokens, "billed once, as it was counted"
    elif not fault.reached:
        assert usage is None or not (usage["input"] or usage["output"]), "nobody was asked"
    content = store.read_content(trace_id)
    kept = content.prompt + content.answer
    assert EMAIL.encode() not in kept
    assert SECRET.encode() not in kept


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_engine_that_fails(fault, transport, guard, store, caplog):
    quotes = QUOTES.format(prompt=PROMPT, secret=SECRET)
    script = Script(**{"pieces": PIECES, "after": 3, "message": quotes} | fault.script)
    limits = Limits(request_seconds=2) if fault.id == "stall" else Limits()
    policy = msgspec.structs.replace(guard.policy, limits=limits, quota=QUOTA)
    held = StoreMeter(store)
    meter = meter_for(store, policy, held)
    parts = {"guard": guard, "policy": policy, "recorder": store, "meter": meter}
    modes = [(path, stream) for path in ASKS for stream in (False, True)]
    modes = [(path, stream) for path, stream in modes if stream or fault.whole]

    async def scene():
        async with (
            stack(script, transport=transport, **parts) as s,
            broken_way(s, fault.door),
        ):
            calls = (_call(s, path, stream=stream) for path, stream in modes)
            answers = await asyncio.gather(*calls)
            for (_, stream), answer in zip(modes, answers, strict=True):
                seen = fault.stream if stream else fault.whole
                _check(s, store, fault, seen, answer, stream=stream)
            assert len(s.traces) == len(modes)
            assert len(s.fake.received) == fault.reached * len(modes), "asked once, billed once"
            assert EMAIL not in str(s.fake.received)
            assert s.app.config.tally.active == 0
            assert await held.held() == {}, "nothing is held for a call that is over"
            for secret in (EMAIL, SECRET, ENGINE_KEY, s.secret):
                assert secret not in caplog.text

    run(scene)
    held.close()
