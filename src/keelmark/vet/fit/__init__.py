"""What a model needs to run: memory for weights and context, by engine, and where it fits."""
