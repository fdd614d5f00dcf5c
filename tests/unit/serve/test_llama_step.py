"""One step of the embedded engine, for any number of slots."""

from hypothesis import given
from hypothesis import strategies as st

from keelmark.serve.llama_child import step


@given(st.integers(1, 64), st.integers(1, 4096), st.integers(64, 8192))
def test_a_step_falls_into_equal_parts_and_holds_the_longest_embedding(slots, batch, context):
    found = step({"slots": slots, "batch": batch, "context": context})
    assert found % slots == 0
    assert found <= context
    assert found >= min(batch, context - slots)
