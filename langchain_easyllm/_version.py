"""The package's version: the one place that `pyproject.toml` and `__version__` read."""

__version__ = "0.2.0"
