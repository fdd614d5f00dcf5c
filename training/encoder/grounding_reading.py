"""Passages as the guard makes them of a source: what its encoder reads beside a claim.

A source is seldom read whole: the guard takes the three sentences that have most of a claim's
words, with what stands around each (`keelmark.guard._grounds`). Rows in this form teach what is
met in use; those of sentences in a row teach more of how texts go on.
"""

from __future__ import annotations

from functools import lru_cache
from math import isinf

from keelmark.guard._grounds import WIDTH, faults, nearest
from keelmark.guard._sources import Index, Source


@lru_cache(256)
def _index(source: str) -> Index:
    return Index([Source("", source)])


def beside(claim: str, source: str) -> str:
    """Return what the encoder reads of a source beside a claim; "" where nothing is found."""
    index = _index(source)
    near = nearest(claim, index).near or index.all_of_it(WIDTH)
    return index.passage([one.place for one in near], WIDTH)


def spoken_against(claim: str, passage: str) -> bool:
    """Say whether an exact check decides against a claim: a number that the passage lacks.

    Such a claim may be true of the whole source, but not by this passage.
    """
    index = _index(passage)
    figures, keys, found, _ = nearest(claim, index)
    return any(isinf(one.doubt) for one in faults(claim, figures, keys, index, found))
