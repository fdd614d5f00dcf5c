"""The encoder that ships was vetted as any model is, and its passport is about its very files."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import keelmark_weights
import pytest

from keelmark.app.encoder import encoder_vetted, passport_of
from keelmark.cli.main import run
from keelmark.core.errors import IntegrityError
from keelmark.guard._weights import FOLDER
from keelmark.passport import dsse
from keelmark.passport.keys import load_trusted
from keelmark.passport.manifest import build_manifest
from keelmark.passport.passport import Passport

SHIPPED = keelmark_weights.folder()
AGAIN = "run `python training/encoder/passport.py`, and commit what it writes"


def test_the_passport_is_of_the_files_that_ship() -> None:
    passport = Passport.load(passport_of(SHIPPED))
    assert passport.manifest.difference(build_manifest(SHIPPED)) == "", AGAIN
    said = passport.statement.predicate
    assert (said.verdict, said.coverage.not_checked) == ("pass", ())


def test_the_key_beside_it_signed_it_and_no_place_of_its_making_is_in_it(tmp_path: Path) -> None:
    passport = Passport.load(passport_of(SHIPPED))
    shutil.copy(SHIPPED.with_name("encoder.pub"), tmp_path)
    tmp_path.chmod(0o700)
    payload = dsse.verify(dsse.parse(passport.to_bytes()), load_trusted(tmp_path))
    assert not re.search(rb'"(/|[A-Za-z]:\\)', payload)


def test_doctor_tells_files_from_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vetted_on = f"{Passport.load(passport_of(SHIPPED)).statement.predicate.not_before:%Y-%m-%d}"
    run(["doctor"])
    assert f"vetted on {vetted_on}: pass" in capsys.readouterr().out
    own = tmp_path / "encoder"
    own.mkdir()
    (own / "encoder.onnx").write_bytes(b"other")
    (own / "vocab.txt").write_text("[PAD]\n")
    digest = hashlib.sha256(b"other").hexdigest()
    (own / "calibration.json").write_text(
        f'{{"version": "9", "sequence": [], "tokens": [], "heads": {{}}, "model": "{digest}"}}'
    )
    monkeypatch.setenv(FOLDER, str(own))
    assert encoder_vetted() == "version 9, without a passport"
    shutil.copy(passport_of(SHIPPED), tmp_path)
    with pytest.raises(IntegrityError, match="not what was vetted"):
        encoder_vetted()
