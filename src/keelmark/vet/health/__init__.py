"""Health of the project behind a model, from a clone of its repository."""
