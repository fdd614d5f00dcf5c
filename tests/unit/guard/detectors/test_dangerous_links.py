import msgspec
import pytest

from keelmark.guard.detectors.dangerous_links import Detector, Settings


def found(text: str, **config: object) -> list[tuple[str, float]]:
    detector = Detector(msgspec.convert(config, Settings))
    return [(hit.label, hit.score) for hit in detector.find(text)]


@pytest.mark.parametrize(
    "host",
    ["127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "017700000001", "[::ffff:203.0.114.9]"],
)
def test_addresses_in_every_spelling(host: str) -> None:
    ((label, score),) = found(f"http://{host}/x")
    assert label == "IP_URL"
    assert score >= 0.6 or "ffff" in host


def test_addresses_within_a_network_hardly_count() -> None:
    for host in ("127.0.0.1:8080", "192.168.0.4", "10.0.0.1", "[::1]:9"):
        assert found(f"http://{host}/x") == [("IP_URL", 0.2)]


def test_own_lists() -> None:
    text = "https://a.good.example/ https://bad.example/ https://other.test/"
    lists = {"allow_domains": ["good.example"], "block_domains": ["*.bad.example"]}
    assert found(text, **lists) == [("BLOCKED_DOMAIN", 1.0), ("UNLISTED_DOMAIN", 0.9)]
    assert found(text, **lists, others="judge") == [("BLOCKED_DOMAIN", 1.0)]
    assert found(text, **lists, labels=["UNLISTED_DOMAIN"]) == [("UNLISTED_DOMAIN", 0.9)]
    assert found("https://notgood.example/", **lists) == [("UNLISTED_DOMAIN", 0.9)]


def test_a_hit_is_the_link_without_the_full_stop() -> None:
    (hit,) = Detector().find("Go to https://paypa1.com/now. Then")
    assert (hit.start, hit.end) == (6, 28)


@pytest.mark.parametrize(
    "text",
    [
        "https://google.co.uk/ https://amazon.de https://login.microsoftonline.com/x",
        "https://microsoft.github.io/a https://github.com/paypal/sdk",
        "[example.org](https://www.example.org) [README.md](https://a.example/README.md)",
        "https://accounts.google.com/o/oauth2?redirect_uri=https://app.example/cb",
        "ftp://ftp.gnu.org/gnu/ http://localhost:3000 http://a.b.c.example:80/#x",
        "https://example.com/app.js https://twitch.tv https://switch.ch https://applet.example",
    ],
)
def test_look_alikes(text: str) -> None:
    assert [one for one in found(text) if one[1] >= 0.5] == []
