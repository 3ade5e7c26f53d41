"""The constructor fields of the public classes, and what they mean."""
