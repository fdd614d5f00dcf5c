"""The page on the guard in Python does what it shows."""

import contextlib
import io
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/how-to/use-the-guard-in-python.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(r"^print\(.*\)  # (.*)$", re.MULTILINE)


def test_every_block_prints_what_is_written_beside_it():
    code = "".join(_BLOCK.findall(PAGE.read_text()))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, str(PAGE), "exec"), {})
    assert printed.getvalue().splitlines() == _SHOWN.findall(code)
    assert code.count("print(") == len(_SHOWN.findall(code))
