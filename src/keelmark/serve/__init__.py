"""The gateway and its engines."""
