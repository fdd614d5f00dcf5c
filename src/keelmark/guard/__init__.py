"""The guard: detectors, policy, masking, streams."""

from keelmark.guard.bodies import Read
from keelmark.guard.guard import (
    Guard,
    GuardedRequest,
    Result,
    shipped_policies,
    shipped_policy,
)

__all__ = ["Guard", "GuardedRequest", "Read", "Result", "shipped_policies", "shipped_policy"]
