"""Where a model comes from, by what its files show; never more than the evidence bears."""
