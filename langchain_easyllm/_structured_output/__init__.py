"""Answers that fit a schema: the schema, the ways to ask for it, the check."""
