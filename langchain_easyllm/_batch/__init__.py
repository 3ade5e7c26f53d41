"""Many texts: cut into few requests, sent by several workers."""
