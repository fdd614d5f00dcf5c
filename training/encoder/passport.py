"""Vet weights as any model is vetted, and sign a passport for exactly these files.

    python training/encoder/passport.py [FOLDER]

Without FOLDER, those that ship. FOLDER.passport.json and FOLDER.pub are put beside it. The key
signs this one passport and is kept nowhere, so a later passport has another: a signature shows that
files and passport belong together; who made both is what the repository's history says.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from keelmark import app
from keelmark.app.encoder import passport_of
from keelmark.passport.keys import export_public

SHIPPED = Path(__file__).resolve().parents[2] / "weights/src/keelmark_weights/encoder"


def main() -> None:
    """Write both files, or say why the weights do not pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=SHIPPED)
    folder = parser.parse_args().folder.resolve()
    os.environ.pop("KEELMARK_DATABASE", None)
    with (
        tempfile.TemporaryDirectory() as data,
        app.Home.open(Path(data), Path("default")) as home,
    ):
        admitted = app.admit(home, folder, name=folder.name)
        if admitted.passport is None:
            sys.exit(admitted.reason)
        admitted.passport.save(passport_of(folder))
        public = export_public(home.signer.public)
    folder.with_name(f"{folder.name}.pub").write_text(public, encoding="ascii")
    print(admitted.passport.text())


if __name__ == "__main__":
    main()
