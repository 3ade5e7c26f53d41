"""LangChain's values in and out: messages, tools, results, events."""
