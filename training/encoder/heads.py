"""What the encoder says: names of its numbers, in their order."""

from __future__ import annotations

HAZARDS = tuple(f"hazard_S{number}" for number in range(1, 13))
SEQUENCE = (
    "injection",
    "harm_request",
    "toxic",
    "harm_answer",
    "grounding_supported",
    "grounding_contradicted",
    "grounding_unsupported",
    *HAZARDS,
)
POOLS = {
    "injection": 1,
    "harm_request": 1,
    "toxic": 1,
    "harm_answer": 1,
    "grounding": 3,
    "hazards": len(HAZARDS),
}
"""How many numbers each pooling gives, in the order of SEQUENCE."""
TOKENS = ("grounding",)
