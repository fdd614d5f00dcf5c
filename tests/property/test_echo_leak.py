"""Whatever an engine sends as log-probabilities of a prompt, none of its words leaves with them."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.serve.echo import Echo, cut, glue

WORD = "S3CRET"
OWN = "one two"
LISTS = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
ONE = st.sampled_from(
    [WORD, f" {WORD}", "one", " two", "bytes:\\xc3", f"bytes:{WORD}", "<s>", f"<{WORD}>", ""]
)
ANY = st.recursive(
    st.none() | st.integers(-3, 20) | st.floats(-9, 0) | ONE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ONE, inner, max_size=3),
    max_leaves=6,
)
TOLD = st.fixed_dictionaries(
    {},
    optional={
        "tokens": st.lists(ONE | ANY, min_size=2, max_size=3),
        "token_logprobs": st.lists(ANY, min_size=2, max_size=3),
        "top_logprobs": st.lists(
            st.dictionaries(ONE, ANY, max_size=3) | ANY, min_size=2, max_size=3
        ),
        "text_offset": st.lists(st.integers(-1, 9) | ANY, min_size=2, max_size=3),
        WORD: ANY,
    },
)


@settings(max_examples=400, deadline=None)
@given(told=TOLD | ANY, rest=st.sampled_from(["", " three"]))
def test_nothing_leaves_with_the_prompt(told, rest):
    echo = Echo(own=(OWN,), read=(OWN,), each=1, full=False)
    body = msgspec.json.encode(
        {"choices": [{"index": 0, "text": OWN + rest, "logprobs": told, "finish_reason": "stop"}]}
    )
    left, heads = cut(body, echo)
    guarded = msgspec.json.decode(left)  # the guard lets the text pass, and no log-probabilities
    guarded["choices"][0]["logprobs"] = None
    (choice,) = msgspec.json.decode(glue(msgspec.json.encode(guarded), heads))["choices"]
    assert choice["text"] == OWN + rest
    assert WORD not in msgspec.json.encode(choice).decode()
    if choice["logprobs"] is not None:
        sizes = {len(choice["logprobs"][name]) for name in LISTS}
        assert sizes == {len(told["tokens"])}, "every token keeps its place"
