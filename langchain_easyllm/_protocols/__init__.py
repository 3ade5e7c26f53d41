"""Generation, embedding and reranking protocols without I/O: requests out, typed events in."""
