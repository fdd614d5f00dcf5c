"""The guard: detectors, policy, masking, streams."""
