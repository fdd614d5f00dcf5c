"""The Python library: `from keelmark import Guard, vet, Passport`."""

__version__ = "0.1.0"
