"""The pages that a newcomer follows are followed here, on a real service."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from keelmark.serve.models import LocalModel

from .conftest import KEELMARK, Service, with_model

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
START = "make up"


def blocks(page: str, *, first: str = "", last: str = "") -> list[tuple[str, str]]:
    """The fenced blocks of a page as (language, text), between two of its headings."""
    text = (ROOT / page).read_text(encoding="utf-8")
    begin = text.index(f"## {first}\n") if first else 0
    return FENCE.findall(text[begin : text.index(f"## {last}\n") if last else len(text)])


def follow(found: list[tuple[str, str]], service: Service, folder: Path) -> list[str]:
    """Type every block in one shell, as a reader does; return what each of them printed.

    A command that is said to end with another code than 0 (`# ends with 1`) has to.
    """
    script = ["exec 2>&1", f'export PATH="{KEELMARK.parent}:$PATH"']
    for language, text in found:
        typed = text.replace("127.0.0.1:8080", f"127.0.0.1:{service.port}")
        typed = typed.replace("sk-km-...", service.key)
        if language == "python":
            typed = f"python - <<'END'\n{typed}END\n"
        script += [typed, 'printf "\\n@@ %d\\n" $?']
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "KEELMARK_DATA": str(service.data)},
        stdin=subprocess.DEVNULL,
    )
    *printed, rest = re.split(r"\n@@ (\d+)\n", done.stdout)
    assert not rest.strip()
    codes = [int(code) for code in printed[1::2]]
    wanted = [int((re.findall(r"# ends with (\d)", text) or "0")[-1]) for _, text in found]
    assert codes == wanted, done.stdout
    assert "Traceback" not in done.stdout
    return printed[::2]


def check_shape(shown: str, printed: str) -> None:
    """Every line that the page shows was printed, where `...` stands for anything."""
    for line in shown.splitlines():
        parts = [re.escape(part) for part in re.split(r"\s*\.\.\.\s*|\s{2,}", line.strip())]
        assert re.search(".*?".join(parts), printed), f"{line!r} is not in:\n{printed}"


def test_the_first_hour(service, tmp_path):
    found = blocks("docs/tutorials/first-hour.md")
    assert found[0] == ("console", f"{START}\n")
    started, keys = found[1][1].split("Admin key", 1)
    assert keys.endswith("  sk-km-...\n")
    check_shape(started.replace("8080", str(service.port)), service.said())
    typed = [block for block in found[2:] if block[0] != "text"]
    printed, said = iter(follow(typed, service, tmp_path)), ""
    for language, text in found[2:]:
        if language == "text":
            check_shape(text, said)
        else:
            said = next(printed)
    assert (tmp_path / "owasp.html").stat().st_size > 10_000


def test_the_readme(service, bundled_model, tmp_path):
    first = blocks("README.md", first="A first request", last="What happens to a request")
    shutil.copyfile(bundled_model.path, tmp_path / "model.gguf")
    library = blocks("README.md", first="As a library", last="Figures")
    assert [block[0] for block in (*first, *library)] == ["console", "python", "console", "python"]
    _, streamed, _, vetted = follow([*first, *library], service, tmp_path)
    assert streamed.strip()
    check_shape("pass ...\nwrite to <EMAIL_1>", vetted)
    assert "LLM01" in (tmp_path / "owasp.html").read_text(encoding="utf-8")


def follow_with_policy(page: str, name: str, model: LocalModel, folder: Path) -> str:
    """Follow a tutorial whose first block writes the policy of the service; return all output."""
    found = blocks(page)
    place, data = folder / "own", folder / "data"
    place.mkdir()
    with_model(data, model)
    (place / name).write_text(found[0][1].split("END'\n")[1].split("END\n")[0])
    service = Service(data, "--policy", place / name).wait()
    try:
        typed = [block for block in found if block[0] in {"console", "python"}]
        printed = follow(typed, service, place)
    finally:
        service.stop()
    rest, said = iter(printed), ""
    for language, text in found:
        if language == "text":
            check_shape(text, said)
        elif language in {"console", "python"}:
            said = next(rest)
    return "\n".join(printed)


def test_a_policy_in_shadow_then_enforced(bundled_model, tmp_path):
    page = "docs/tutorials/shadow-then-enforce.md"
    follow_with_policy(page, "my-policy.yaml", bundled_model, tmp_path)


def test_a_hospitals_chat(bundled_model, tmp_path):
    page = "docs/tutorials/hospital-chat.md"
    printed = follow_with_policy(page, "hospital.yaml", bundled_model, tmp_path)
    assert "536-22" not in printed.replace("|", "")


def test_code_but_no_keys(bundled_model, tmp_path):
    page = "docs/tutorials/code-but-no-keys.md"
    printed = follow_with_policy(page, "our-code.yaml", bundled_model, tmp_path)
    assert "AKIA" not in printed
    assert "Vq2mYtRb7LwK" not in printed
