"""Seven views of a run that is kept, and of runs whose gates speak of views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from keelmark.app.evaluation.judges import judges
from keelmark.core.gates import Gate
from keelmark.evaluate.comparison import Run
from keelmark.evaluate.journal import Journal
from keelmark.evaluate.measures import gather
from keelmark.evaluate.result import each_score, read_manifest, read_result
from keelmark.evaluate.suite import scorer
from keelmark.evaluate.views import JUDGES, View, is_viewed, look, views


def views_of(folder: Path) -> list[View]:
    """Return the seven views of a run, from what is kept of it.

    Raises:
        UsageError: There is no run.
        IntegrityError: It cannot be read.
    """
    manifest, result = read_manifest(folder), read_result(folder)
    suite = manifest.suite
    own = 1 if hasattr(scorer(suite.scorer.id), "follow_up") else None
    looked = look(Journal(folder).kept(), judges(JUDGES), own)
    gathered = gather(each_score(folder))
    return views(suite, gathered, looked, result.spent, manifest.sampling.variants)


def seen(runs: Iterable[Run], gates: Sequence[Gate]) -> list[Run]:
    """Return runs with their views, where a gate asks for one (`robustness.worst_case`)."""
    suites = {gate.suite for gate in gates if is_viewed(gate.measure)}
    return [
        run._replace(views=tuple(views_of(run.folder))) if suites & {"*", run.suite.id} else run
        for run in runs
    ]
