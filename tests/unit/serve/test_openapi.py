"""The description says what is checked; `make clients` lets schemathesis try it."""

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway_parts import run, stack
from keelmark.serve import admin, openapi, shapes
from keelmark.serve.errors import ApiError
from keelmark.serve.gateway import ROUTES

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
NEAR = st.sampled_from([-1, 0, 1, 2, 128, 129, 1.0, 1.5, 100, 2**31 - 1, 2**31, "float", ["text"]])


def test_the_same_fields_are_described_and_checked():
    assert openapi.FIELDS.keys() == shapes.FIELDS.keys()


@pytest.mark.parametrize("name", openapi.FIELDS)
@settings(max_examples=60, deadline=None)
@given(value=ANY | NEAR)
def test_what_fits_the_description_is_read_and_nothing_else(name, value):
    described = jsonschema.Draft202012Validator(openapi.FIELDS[name]).is_valid(value)
    try:
        shapes.check_common({"model": "m", name: value})
        read = True
    except ApiError:
        read = False
    assert described == read


def test_every_address_is_described():
    async def scene():
        async with stack() as s:
            status, described, _ = await s.get(openapi.PATH)
            assert status == 200
            below = {start + rest for start, (rest, _) in admin.BELOW.items()}
            assert described["paths"].keys() == {*ROUTES, "/v1/models/{id}", *below}
            for path, methods in described["paths"].items():
                for method, operation in methods.items():
                    assert operation["responses"]["default"], path
                    assert ("requestBody" in operation) == (method == "post"), path
            refs = str(described)
            for name in described["components"]["schemas"]:
                assert f"#/components/schemas/{name}" in refs

    run(scene)


def test_a_wrong_method_is_told_the_right_ones():
    async def scene():
        async with stack() as s:
            status, _, headers = await s.get("/v1/chat/completions")
            assert (status, headers["allow"]) == (405, "POST")

    run(scene)


def test_whole_numbers_may_be_written_with_a_fraction():
    async def scene():
        async with stack() as s:
            status, _, _ = await s.chat(max_tokens=5.0, seed=7.0)
            assert status == 200
            got = s.fake.received[0]
            assert (repr(got["max_tokens"]), repr(got["seed"])) == ("5", "7")
            assert (await s.chat(max_tokens=5.5))[0] == 400
            assert (await s.chat(seed=True))[0] == 400

    run(scene)
