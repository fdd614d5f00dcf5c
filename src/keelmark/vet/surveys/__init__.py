"""Surveys: one file each, see `vet/survey.py`."""
