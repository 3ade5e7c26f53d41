"""Tool-call formats: how tools are described, and how calls are read from text."""
