"""The package's main job in a minute; `make demo` runs it."""
