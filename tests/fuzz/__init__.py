"""The random tests of the suite, driven by atheris: `make fuzz`."""
