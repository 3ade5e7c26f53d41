"""Embeddings that are begun and left: at exit, over a fork, after the main thread's end."""

from __future__ import annotations

import pytest

from ...support.fake_embedding_servers import serve_tei
from ...support.fake_server import FakeServer
from ...support.subprocess_scripts import MAY_FORK, assert_silent

# Each runs in a process of its own; the last lines are what is left unfinished at its exit.
USES = {
    "an iterator left half-way": """
        arrays = model.iter_embeddings(texts)
        next(arrays)
    """,
    "an iterator left half-way in a cycle": """
        kept = [model.iter_embeddings(texts)]
        kept.append(kept)
        next(kept[0])
    """,
    "an iterator left half-way in a daemon": """
        begun = threading.Event()
        def work():
            while True:
                for array in model.iter_embeddings(texts):
                    begun.set()
        threading.Thread(target=work, daemon=True).start()
        begun.wait()
    """,
    "an iterator begun before a fork": """
        arrays = model.iter_embeddings(texts)
        first = next(arrays)
        pid = os.fork()
        if pid:
            assert len(first) + sum(map(len, arrays)) == len(texts)
            assert os.waitpid(pid, 0)[1] == 0
        else:
            try:
                next(arrays)
            except ConfigurationError as error:
                assert "fork" in str(error)
            else:
                raise AssertionError
            assert sum(map(len, model.iter_embeddings(texts))) == len(texts)
    """,
    "an iterator dropped after a fork": """
        arrays = model.iter_embeddings(texts)
        next(arrays)
        pid = os.fork()
        del arrays
        assert sum(map(len, model.iter_embeddings(texts))) == len(texts)
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
    """,
    "a thread that outlives the main one": """
        model = EasyLLMEmbeddings(base_url=url.replace("127.0.0.1", "localhost"))
        def work():
            threading.main_thread().join()
            assert len(model.embed_documents(texts)) == len(texts)
        threading.Thread(target=work).start()
    """,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_nothing_is_printed_at_exit(fake_server: FakeServer, use: str) -> None:
    serve_tei(fake_server, limit=2)
    script = f"""
        import logging, os, sys, threading
        logging.getLogger("asyncio").setLevel(logging.ERROR)  # not that a step took 0.1 s
        from langchain_easyllm import EasyLLMEmbeddings
        from langchain_easyllm.errors import ConfigurationError
        url = {fake_server.url!r}
        model = EasyLLMEmbeddings(base_url=url)
        texts = [f"text {{n}}" for n in range(500)]
    """
    assert_silent(script, use, options=MAY_FORK)
    fake_server.wait_until(lambda: fake_server.open_connections == 0)
