import random
import re
import string

import pytest

from keelmark.core.errors import UsageError
from keelmark.guard._credentials import formats
from keelmark.guard._key_blocks import BLOCK
from keelmark.guard.detectors.secrets import Detector, Settings

CHANCE = random.Random(11)


def labels(text: str) -> list[str]:
    return [hit.label for hit in Detector().find(text)]


def _pick(alphabet: str, size: int) -> str:
    return "".join(CHANCE.choice(alphabet) for _ in range(size))


HEX, ALNUM = "0123456789abcdef", string.ascii_letters + string.digits


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("glpat-" + _pick(ALNUM, 20), "GITLAB_TOKEN"),
        ("xoxb-" + _pick("0123456789", 12) + "-" + _pick(ALNUM, 24), "SLACK_TOKEN"),
        ("sk_live_" + _pick(ALNUM, 24), "STRIPE_KEY"),
        ("AIza" + _pick(ALNUM, 35), "GOOGLE_API_KEY"),
        ("sk-ant-api03-" + _pick(ALNUM, 93) + "AA", "ANTHROPIC_KEY"),
        ("hf_" + _pick(string.ascii_letters, 34), "HUGGINGFACE_TOKEN"),
        ("pypi-AgEIcHlwaS5vcmc" + _pick(ALNUM, 70), "PYPI_TOKEN"),
        ("SG." + _pick(ALNUM, 22) + "." + _pick(ALNUM, 43), "SENDGRID_KEY"),
        ("dop_v1_" + _pick(HEX, 64), "DIGITALOCEAN_TOKEN"),
        ("dapi" + _pick(HEX, 32), "DATABRICKS_TOKEN"),
        ("shpat_" + _pick(HEX, 32), "SHOPIFY_TOKEN"),
        ("lin_api_" + _pick(ALNUM, 40), "LINEAR_KEY"),
        ("hvs." + _pick(ALNUM, 24), "VAULT_TOKEN"),
        ("PMAK-" + _pick(HEX, 24) + "-" + _pick(HEX, 34), "POSTMAN_KEY"),
        ("dckr_pat_" + _pick(ALNUM, 27), "DOCKER_TOKEN"),
        ("123456789:AA" + _pick(ALNUM, 33), "TELEGRAM_TOKEN"),
        ("github_pat_" + _pick(ALNUM, 22) + "_" + _pick(ALNUM, 59), "GITHUB_TOKEN"),
        ("AccountKey=" + _pick(ALNUM, 86) + "==", "AZURE_STORAGE_KEY"),
        ("https://u:" + _pick(ALNUM, 12) + "@host/x", "CREDENTIAL_URL"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZDE=", "BASIC_AUTH"),
        ("curl -u admin:S3cretPass https://x.org", "PASSWORD"),
        ("client_secret: '" + _pick(ALNUM, 32) + "'", "API_KEY"),
        ("contraseña: Invierno2024!", "PASSWORD"),
    ],
)
def test_formats(text: str, label: str) -> None:
    assert labels(f"x {text} y") == [label]


def test_checksums_decide_the_score() -> None:
    (good,) = Detector().find("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")
    (bad,) = Detector().find("ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18")
    assert (good.score, bad.score) == (1.0, 0.75)


def test_every_occurrence() -> None:
    token = "sk_live_" + _pick(ALNUM, 24)
    text = f"{token} and {token}\n{token}"
    assert [text[h.start : h.end] for h in Detector().find(text)] == [token] * 3


@pytest.mark.parametrize(
    "text",
    [
        "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx",
        "export OPENAI_API_KEY=sk-proj-your-api-key-goes-right-here",
        "password: your-password, password=changeme, PASSWORD=${DB_PASSWORD}",
        "Forgot your password? The token is invalid: expired.",
        "secret_name: projects/my-project/secrets/my-secret/versions/latest",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "password = config.get('db').password",
        "eyJub3QiOiJhIHRva2VuIn0.abcdefgh.xyz",
        "https://example.org/path:with@signs and a:b@c",
        '"password": {"type": "string", "minLength": 8}',
    ],
)
def test_look_alikes(text: str) -> None:
    assert labels(text) == []


def test_unfinished_block_is_held_and_then_hit() -> None:
    head = "-----BEGIN RSA PRIVATE KEY-----\n"
    line = _pick(ALNUM, 64) + "\n"
    text = "key: " + head + line * 20
    assert Detector().open_from(text) == 5
    (hit,) = Detector().find(text + "\nand that was it, folks")
    assert (hit.label, hit.start, hit.end) == ("PRIVATE_KEY", 5, len(text) - 1)
    endless = text + line * 1000
    assert Detector().open_from(endless) > 5
    (first, *_) = Detector().find(endless)
    assert first.end - first.start > BLOCK - 80


def test_table_is_sound() -> None:
    assert len({row.name for row in formats()}) >= 90
    for row in formats():
        assert re.compile(row.pattern).groupindex["secret"] >= 1


def test_settings() -> None:
    assert list(Detector(Settings(generic=False)).find("password: hunter2!")) == []
    with pytest.raises(UsageError, match="no label"):
        Detector(Settings(labels=("NOSE",)))
