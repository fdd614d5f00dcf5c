"""A large stored member is read where it lies."""

import io
import zipfile

import pytest

from keelmark.vet.checks import archive
from keelmark.vet.contract import Budget, File


def test_a_large_stored_member_is_a_part_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_LARGE", 1000)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as box:
        box.writestr("small.txt", "a" * 1000)
        box.writestr("large.txt", "b" * 5000)
    data = out.getvalue()
    read: list[int] = []

    def pread(size: int, offset: int) -> bytes:
        read.append(size)
        return data[offset : offset + size]

    file = File("m.zip", len(data), pread, Budget(1 << 20))
    read.clear()
    result = archive.CHECK.run(file)
    small, large = result.members
    assert not result.unexamined
    assert (small.inner, small.all()) == ("small.txt", b"a" * 1000)
    assert (large.inner, large.size) == ("large.txt", 5000)
    assert large.read(4990, 100) == b"b" * 10, "no further than the member"
    assert large.all() == b"b" * 5000
