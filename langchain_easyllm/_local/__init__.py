"""A model in this process, asked in the way of a server."""
