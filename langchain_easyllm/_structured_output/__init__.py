"""Answers that fit a schema: the schema, the ways to request it, the check."""
