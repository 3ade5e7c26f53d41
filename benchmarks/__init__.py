"""How fast the package is beside its peers. Run `python -m benchmarks`; see `README.md`."""
