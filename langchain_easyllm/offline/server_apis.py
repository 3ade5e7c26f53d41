"""The kinds of server that the offline server can be like."""

from __future__ import annotations

from ..errors import ConfigurationError
from .limits import LIKE
from .llama_cpp import LLAMA_CPP
from .server_api import ServerApi
from .tgi_and_tei import TGI_AND_TEI
from .vllm import VLLM

SERVER_APIS = dict(zip(LIKE, (TGI_AND_TEI, VLLM, LLAMA_CPP), strict=True))


def find_api(like: str) -> ServerApi:
    """Return what a server is like, by name; raise a `ConfigurationError` for another name."""
    found = SERVER_APIS.get(like) if isinstance(like, str) else None
    if found is None:
        *others, last = map(repr, SERVER_APIS)
        raise ConfigurationError(f"like is {', '.join(others)} or {last}, not {like!r}.")
    return found
