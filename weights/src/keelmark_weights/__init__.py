"""The weights of the guard's encoder, as files."""

from pathlib import Path


def folder() -> Path:
    """Return the folder that holds them."""
    return Path(__file__).parent / "encoder"
