"""Canonical JSON: one value, one text."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keelmark.core.canonical import canonical, digest

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FLOATS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


class Point(msgspec.Struct):
    y: int
    x: tuple[float, ...] = ()


@given(VALUES)
def test_what_was_written_is_read_back_whatever_the_order_of_keys(value):
    data = canonical(value)
    assert json.loads(data) == value
    assert canonical(json.loads(data)) == data
    if isinstance(value, dict):
        assert canonical(dict(reversed(value.items()))) == data


def test_form():
    assert canonical({"b": [1, None, 0.5], "a\u00e9": "\u2028\n"}) == (
        b'{"a\xc3\xa9":"\xe2\x80\xa8\\n","b":[1,null,0.5]}'
    )
    assert canonical(Point(1, (0.25,))) == b'{"x":[0.25],"y":1}'
    assert digest({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("holder", [lambda n: n, lambda n: [1, {"x": n}], lambda n: Point(1, (n,))])
def test_what_json_does_not_have(number, holder):
    with pytest.raises(ValueError, match="NaN and infinity"):
        canonical(holder(number))
    with pytest.raises(TypeError):
        canonical({"x": object()})
