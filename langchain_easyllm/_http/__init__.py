"""The HTTP/1.1 client: sockets, tokens, retries, timeouts, server-sent events, errors."""
