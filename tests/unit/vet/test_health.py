"""Health of a project, from clones made here; hostile clones run nothing."""

import datetime as dt
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from keelmark.core.errors import CouldNotCheckError, UsageError
from keelmark.core.vetting import Section
from keelmark.passport.manifest import build_manifest
from keelmark.vet.health import checks, clone, pins, workflows
from keelmark.vet.health.checks import CHECKS, NOT_HERE, WEIGHTS
from keelmark.vet.machine import Machine
from keelmark.vet.survey import Asked, Subject
from keelmark.vet.surveys import health

TODAY = dt.date(2026, 11, 22)
NOW = int(dt.datetime(2026, 11, 22, tzinfo=dt.UTC).timestamp())
DAY = 86_400
SHA = "a" * 40

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git command")


def git(folder: Path, *arguments: str, **more: str) -> str:
    done = subprocess.run(
        ["git", "-C", folder, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"} | more,
    )
    return done.stdout.strip()


def commit(folder: Path, days_ago: float, who: str = "ann") -> None:
    when = f"@{int(NOW - days_ago * DAY)} +0000"
    name = {"NAME": who, "EMAIL": f"{who}@example.com", "DATE": when}
    more = {f"GIT_{kind}_{k}": v for kind in ("AUTHOR", "COMMITTER") for k, v in name.items()}
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "work", **more)


def project(
    folder: Path, files: Mapping[str, str | bytes], ages: tuple[float, ...] = (400,)
) -> Path:
    where = folder / "project"
    where.mkdir(parents=True)
    git(where, "init", "-q", "-b", "main")
    for name, data in files.items():
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    for age in ages:
        commit(where, age)
    return where


def survey(where: Path | None, folder: Path) -> Section | None:
    (folder / "model").mkdir()
    (folder / "model" / "m.safetensors").write_bytes(b"x")
    asked = Asked(project=where)
    manifest = build_manifest(folder / "model")
    section, findings, _ = health.run(Subject(manifest, {}, (), asked, Machine(), TODAY))
    assert findings == ()
    return section


def scores(where: Path, folder: Path) -> dict[str, float | None]:
    section = survey(where, folder)
    assert section
    return {name: one["score"] for name, one in section.data["checks"].items()}


PERMITTED = "permissions:\n  contents: read\n"
SOUND = f"""\
on: [push]
{PERMITTED}jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@{SHA}
      - uses: github/codeql-action/init@{SHA}
      - uses: pypa/gh-action-pypi-publish@{SHA}
"""
GOOD = {
    ".github/workflows/ci.yml": SOUND,
    ".github/dependabot.yml": "version: 2\n",
    "SECURITY.md": "# Security\n\nPlease write to security@example.com about any vulnerability "
    "that you find, and do not tell others before we answer. We answer within 14 days, and we "
    "disclose what was wrong when it is mended.\n",
    "LICENSE": (Path(__file__).parents[3] / "LICENSE").read_text(),
    "fuzz/fuzz_reader.py": "import atheris\n\natheris.Setup([], print)\n",
    "requirements.txt": f"torch==2.12.0 --hash=sha256:{'0' * 64}\n",
    "src/main.py": "print()\n",
}


def test_a_project_in_good_health(tmp_path: Path) -> None:
    where = project(tmp_path, GOOD, (400, *(7 * week for week in range(13))))
    found = scores(where, tmp_path)
    full = {
        "Dangerous-Workflow",
        "Binary-Artifacts",
        "Dependency-Update-Tool",
        "Maintained",
        "Token-Permissions",
        "Fuzzing",
        "Packaging",
        "Pinned-Dependencies",
        "SAST",
        "Security-Policy",
        "License",
    }
    assert {name for name, score in found.items() if score == 10.0} == full
    assert found["Vulnerabilities"] is None  # only the seed was asked
    assert found["Signed-Releases"] is None
    assert found["Bus factor"] == 2.0


def test_a_project_in_bad_health(tmp_path: Path) -> None:
    bad = {
        ".github/workflows/ci.yml": "on: pull_request_target\njobs:\n  a:\n    steps:\n"
        "      - uses: actions/checkout@v4\n        with:\n"
        "          ref: ${{ github.event.pull_request.head.sha }}\n",
        "tool.exe": b"MZ",
        "Dockerfile": "FROM python:3\nRUN pip install torch\n",
        "requirements.txt": "torch==2.5.0\n",
    }
    found = scores(project(tmp_path, bad), tmp_path)
    assert found["Dangerous-Workflow"] == 0.0
    assert found["Token-Permissions"] == 0.0
    assert found["Pinned-Dependencies"] == 0.0
    assert found["Maintained"] == 0.0
    assert found["Security-Policy"] == 0.0
    assert found["License"] == 0.0
    assert found["Binary-Artifacts"] == 9.0
    assert 0 <= found["Vulnerabilities"] < 10  # the seed knows several


def test_the_total_weighs_only_what_was_told(tmp_path: Path) -> None:
    section = survey(project(tmp_path, {"a": "b"}), tmp_path)
    assert section
    told = {n: one for n, one in section.data["checks"].items() if one["score"] is not None}
    weight = sum(WEIGHTS[one["risk"]] for one in told.values())
    total = sum(WEIGHTS[one["risk"]] * one["score"] for one in told.values()) / weight
    assert section.data["score"] == pytest.approx(total, abs=0.06)
    assert f"over {len(told)} of {len(CHECKS) + len(NOT_HERE)} checks" in section.summary
    unknown = [n for n, one in section.data["checks"].items() if one["score"] is None]
    assert len(section.unanswered) == len(unknown) + len(NOT_HERE)
    assert all(any(text.startswith(name) for text in section.unanswered) for name in unknown)


def test_what_was_not_asked_is_not_answered(tmp_path: Path) -> None:
    assert survey(None, tmp_path) is None


@pytest.mark.parametrize(
    ("ages", "score"),
    [
        ((400,), 0.0),
        ((30, 10), 0.0),  # younger than 90 days
        ((400, 80, 60, 40, 20, 1), 3.9),
        ((400, *(range(0, 90, 2))), 10.0),
        ((400, -30), 0.0),  # a commit from the future proves nothing
    ],
)
def test_maintained(ages: tuple[float, ...], score: float, tmp_path: Path) -> None:
    assert scores(project(tmp_path, {"a": "b"}, ages), tmp_path)["Maintained"] == score


def test_a_shallow_clone_is_not_young(tmp_path: Path) -> None:
    where = project(tmp_path, {"a": "b"}, (400, 20, 10))
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{where}", str(shallow))
    section = survey(shallow, tmp_path)
    assert section
    assert section.data["checks"]["Maintained"]["score"] is None
    assert any("shallow" in text for text in section.unanswered)


def test_people_and_releases(tmp_path: Path) -> None:
    where = project(tmp_path, {"a": "b"}, ())
    for place in range(12):
        commit(where, 300 - place, ("ann", "bob", "eve")[place % 3])
    for place in range(4):
        git(where, "tag", f"v{place}")
        commit(where, 100 - 20 * place, "dependabot[bot]")
    found = scores(where, tmp_path)
    assert found["Bus factor"] == 5.0
    assert found["Release cadence"] == 10.0
    assert found["Signed-Releases"] == 0.0
    assert found["Signed commits"] == 0.0
    assert found["Dependency-Update-Tool"] == 10.0


def test_signatures_are_seen_and_not_believed(tmp_path: Path) -> None:
    where = project(tmp_path, {"a": "b"})
    raw = git(where, "cat-file", "commit", "HEAD")
    header, _, body = raw.partition("\n\n")
    sign = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----"
    done = subprocess.run(
        ["git", "-C", where, "hash-object", "-t", "commit", "-w", "--stdin"],
        input=f"{header}\n{sign}\n\n{body}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    git(where, "update-ref", "refs/heads/main", done.stdout.strip())
    section = survey(where, tmp_path)
    assert section
    assert section.data["checks"]["Signed commits"]["score"] == 10.0
    assert "not verified" in section.data["checks"]["Signed commits"]["why"]


def test_a_hostile_clone_runs_nothing(tmp_path: Path) -> None:
    where = project(tmp_path, {**GOOD, ".gitattributes": "* diff=evil filter=evil\n"})
    marker = tmp_path / "ran"
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    script.chmod(0o755)
    for hook in ("post-checkout", "fsmonitor-watchman", "reference-transaction", "pre-auto-gc"):
        path = where / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {marker}\n")
        path.chmod(0o755)
    (tmp_path / "more").write_text(f"[core]\n\tfsmonitor = {script}\n")
    with (where / ".git" / "config").open("a") as config:
        config.write(
            f"[core]\n\tfsmonitor = {script}\n\tpager = {script}\n\teditor = {script}\n"
            f"\thooksPath = {where}/.git/hooks\n\tsshCommand = {script}\n\tgitProxy = {script}\n"
            f"\talternateRefsCommand = {script}\n"
            f'[diff "evil"]\n\ttextconv = {script}\n\tcommand = {script}\n'
            f'[filter "evil"]\n\tsmudge = {script}\n\tclean = {script}\n\trequired = true\n'
            f"[diff]\n\texternal = {script}\n[gpg]\n\tprogram = {script}\n"
            f"[log]\n\tshowSignature = true\n[pager]\n\tlog = {script}\n"
            f'[alias]\n\trev-list = "!{script}"\n\tls-tree = "!{script}"\n'
            f"[credential]\n\thelper = {script}\n[include]\n\tpath = {tmp_path}/more\n"
            '[remote "origin"]\n\turl = ext::sh -c evil\n\tpromisor = true\n'
        )
    clone._opened.cache_clear()
    before = sorted(path for path in where.rglob("*") if path.is_file())
    assert scores(where, tmp_path)["License"] == 10.0
    assert not marker.exists()
    assert sorted(path for path in where.rglob("*") if path.is_file()) == before
    git(where, "status")  # the traps are armed: this is what they do to those who walk in
    assert marker.exists()


def test_replaced_and_grafted_history_is_not_followed(tmp_path: Path) -> None:
    where = project(tmp_path, {"a": "b"}, (400, 20))
    git(where, "replace", "HEAD", "HEAD~1")
    assert len(clone.opened(where).commits) == 2


def test_links_and_odd_names_are_no_files(tmp_path: Path) -> None:
    where = tmp_path / "project"
    where.mkdir()
    (where / "SECURITY.md").symlink_to("/etc/passwd")
    (where / "new\nline.sh").write_text("curl x | sh\n")
    git(where, "init", "-q", "-b", "main")
    commit(where, 400)
    found = clone.opened(where)
    assert found.links == {"SECURITY.md"}
    assert found.text("SECURITY.md") == ""
    assert "new\nline.sh" in found.files


@pytest.mark.parametrize("damage", ["none", "file", "empty", "link"])
def test_what_is_no_clone_is_an_error(damage: str, tmp_path: Path) -> None:
    where = tmp_path / "x"
    if damage != "none":
        where.mkdir()
    if damage == "file":
        (where / ".git").write_text("gitdir: /somewhere\n")
    if damage == "link":
        (where / ".git").symlink_to(project(tmp_path, {"a": "b"}) / ".git")
    with pytest.raises(UsageError, match="no git clone"):
        clone.opened(where)


@pytest.mark.parametrize("damage", ["head", "objects", "alternates", "truncated"])
def test_a_damaged_clone_could_not_be_told(damage: str, tmp_path: Path) -> None:
    where = project(tmp_path, {"a": "b" * 1000})
    inner = where / ".git"
    if damage == "head":
        (inner / "HEAD").write_text("ref: refs/heads/gone\n")
    elif damage == "alternates":
        (inner / "objects/info").mkdir(exist_ok=True)
        (inner / "objects/info/alternates").write_text("/somewhere\n")
    else:
        for path in (inner / "objects").glob("??/*"):
            path.chmod(0o644)
            path.write_bytes(b"" if damage == "objects" else path.read_bytes()[:9])
    with pytest.raises(CouldNotCheckError):
        clone.opened(where)
    section = survey(where, tmp_path)
    assert section
    assert section.answer == "could not tell"
    assert section.required
    assert section.unanswered


def flow(text: str) -> workflows.Workflow:
    return workflows.read("w.yml", text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("on: push\njobs:\n  a:\n    steps:\n      - run: echo ${{ github.sha }}\n", 0),
        (
            (
                "on: issues\njobs:\n  a:\n    steps:\n"
                "      - run: echo ${{ github.event.issue.title }}\n"
            ),
            1,
        ),
        (
            (
                "on: issues\njobs:\n  a:\n    steps:\n      - uses: actions/github-script@v7\n"
                "        with:\n          script: console.log('${{github.head_ref}}')\n"
            ),
            1,
        ),
        (
            (
                "on:\n  workflow_run:\n    workflows: [x]\njobs:\n  a:\n    steps:\n"
                "      - uses: actions/checkout@v4\n        with:\n"
                "          ref: ${{ github.event.workflow_run.head_sha }}\n"
            ),
            1,
        ),
        (
            (
                "on: pull_request\njobs:\n  a:\n    steps:\n      - uses: actions/checkout@v4\n"
                "        with:\n          ref: ${{ github.event.pull_request.head.sha }}\n"
            ),
            0,
        ),
        (
            (
                "on: issues\njobs:\n  a:\n    env:\n      T: ${{ github.event.issue.title }}\n"
                "    steps:\n      - run: echo $T\n"
            ),
            0,
        ),
    ],
)
def test_dangers_of_workflows(text: str, count: int) -> None:
    assert len(workflows.dangers(flow(text))) == count


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("permissions: read-all\njobs: {a: {steps: []}}\n", 0),
        ("permissions: {}\njobs: {a: {permissions: {issues: write}}}\n", 0),
        ("permissions: write-all\njobs: {a: {}}\n", 10),
        ("permissions: {contents: write}\njobs: {a: {}}\n", 10),
        ("jobs: {a: {steps: []}}\n", 10),
        ("jobs: {a: {permissions: {contents: read}}}\n", 1),
        ("permissions: {}\njobs: {a: {permissions: {contents: write}}}\n", 4),
        (
            (
                "permissions: {}\njobs: {a: {permissions: {packages: write}, "
                "steps: [{run: docker push x}]}}\n"
            ),
            0,
        ),
        ("permissions: {}\njobs: {a: {permissions: {checks: write}}}\n", 1),
    ],
)
def test_permissions_of_workflows(text: str, lost: float) -> None:
    assert workflows.excess(flow(text))[0] == lost


@pytest.mark.parametrize(
    "text",
    ["", "[]", "a: &x 1\nb: *x\n", "{" * 5000, "\x00", "jobs: 7", "jobs: {a: 7, b: {steps: 7}}"],
)
def test_odd_workflows_are_harmless(text: str) -> None:
    one = flow(text)
    assert workflows.dangers(one) == []
    assert workflows.unpinned(one) == ([], 0)
    workflows.excess(one)


@pytest.mark.parametrize(
    ("path", "text", "loose", "total"),
    [
        ("Dockerfile", f"FROM a@sha256:{'0' * 64} AS b\nFROM b\nFROM scratch\n", 0, 1),
        ("Dockerfile", "FROM python:3.11\n", 1, 1),
        ("build.sh", "curl -sL https://example.com/x | bash\n", 1, 1),
        ("build.sh", "# pip install x\npip install --require-hashes -r r.txt\n", 0, 1),
        ("build.sh", "pip install .\npip install -e ./x\n", 0, 0),
        ("build.sh", "pip install torch \\\n  numpy\nnpm ci\n", 1, 1),
        ("requirements.txt", "a==1\nb==2\n", 1, 1),
        ("requirements.txt", "# nothing\n", 0, 0),
        ("main.py", "pip install x\n", 0, 0),
    ],
)
def test_pins(path: str, text: str, loose: int, total: int) -> None:
    found, count = pins.unpinned(path, text)
    assert (len(found), count) == (loose, total)


def test_every_check_has_a_known_risk() -> None:
    assert {check.risk for check in checks.CHECKS} == set(WEIGHTS)
    assert len({check.name for check in checks.CHECKS}) == len(checks.CHECKS)
