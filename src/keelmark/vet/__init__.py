"""Vetting of artefacts."""
