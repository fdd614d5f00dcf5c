"""The report as a page: what is in it, and that nothing in the data becomes a part of the page."""

import json
from html.parser import HTMLParser
from pathlib import Path

from keelmark.app import batch
from keelmark.guard import shipped_policy

MAIL = "ada@example.org"


def scan(*paths: Path) -> batch.Report:
    return batch.scan(paths, batch.Plan(policy=shipped_policy()), pool=batch.processes(1))


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, ...]] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.seen.add((tag, *(name for name, _ in attrs)))

    def handle_data(self, data):
        self.text += data


def test_a_page_shows_what_is_hostile_as_it_is_written(tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    (tmp_path / "in").mkdir()
    write_lines(
        tmp_path / "in" / "<script>alert(1)<script>.jsonl",
        *[{"<b>'\"": f"<u>{evil} {MAIL}"}] * 2,
    )
    (tmp_path / "in" / f"{evil}.jsonl").write_text("{bad\n")
    page = batch.as_page(scan(tmp_path / "in"))
    tags, plain = _Tags(), _Tags()
    tags.feed(page)
    write_lines(tmp_path / "a.jsonl", {"t": MAIL}, {"t": MAIL})
    (tmp_path / "b.jsonl").write_text("{bad\n")
    plain.feed(batch.as_page(scan(tmp_path / "a.jsonl", tmp_path / "b.jsonl")))
    assert tags.seen == plain.seen
    assert "<script>alert(1)<script>.jsonl" in tags.text
    assert f"{evil}.jsonl" in tags.text
    assert "<b>'\"" in tags.text
    assert "<u>" in tags.text
    assert "default-src 'none'" in page


def test_a_page_says_first_what_matters(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", {"t": "fine"})
    assert "Nothing found. Everything was checked." in batch.as_page(scan(path))
    write_lines(path, {"t": MAIL})
    assert "1 thing found, in 1 of 1 file. Everything was checked." in batch.as_page(scan(path))
    path.write_text("{bad\n")
    page = batch.as_page(scan(path))
    assert "Nothing found. 1 thing could not be checked: see below." in page
    assert "Everything was checked" not in page
