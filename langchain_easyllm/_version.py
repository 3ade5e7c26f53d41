"""The package's version: the one place that `pyproject.toml` and `__version__` read."""

__all__ = ["__version__"]

__version__ = "0.1.0"
