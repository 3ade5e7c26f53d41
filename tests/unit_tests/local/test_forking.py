"""A process that is forked while its parent's local model is at work."""

from __future__ import annotations

import pytest

from ...support.subprocess_scripts import MAY_FORK, assert_silent

BATCHER = """
import os, signal, threading
from langchain_easyllm._local.transport import Batcher
from langchain_easyllm._local.requests import Job, LocalSequence

def run(sequences):
    generating.set()
    free.wait()
    for sequence in sequences:
        sequence.emit(sequence.prompt)

generating, free = threading.Event(), threading.Event()
batcher = Batcher(run, size=2)

def submit(prompt):
    done, answers = threading.Event(), []
    sequence = LocalSequence(Job(), prompt, lambda item: (answers.append(item), done.set()))
    batcher.submit([sequence])
    return done, answers

def check(prompt):
    free.set()
    done, answers = submit(prompt)
    done.wait()
    assert answers == [prompt]

def fork_and_check():
    pid = os.fork()
    if not pid:
        signal.alarm(10)
        check("child")
        check("child again")
        assert parents == []
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""

MOMENTS = {
    "before its thread began": """
        parents = []
        fork_and_check()
        check("parent")
    """,
    "while it gathers a batch": """
        done, parents = submit("parent")
        fork_and_check()
        free.set()
        done.wait()
        assert parents == ["parent"]
    """,
    "while its model generates": """
        done, parents = submit("parent")
        generating.wait()
        fork_and_check()
        free.set()
        done.wait()
        assert parents == ["parent"]
    """,
    "while sequences wait behind a batch": """
        runs = [submit(f"parent {index}") for index in range(5)]
        parents = runs[-1][1]
        generating.wait()
        fork_and_check()
        free.set()
        for index, (done, answers) in enumerate(runs):
            done.wait()
            assert answers == [f"parent {index}"]
    """,
    "while it is idle": """
        check("parent")
        parents = []
        fork_and_check()
        check("parent again")
    """,
    "while another thread submits": """
        parents = []
        held, over = threading.Event(), threading.Event()
        def hold():
            with batcher._changed:
                held.set()
                over.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        fork_and_check()
        over.set()
        thread.join()
        check("parent")
    """,
}

LOCKS = """
import os, signal, threading
from langchain_easyllm._local import generation, session
from langchain_easyllm._local.embedding import EmbeddingModel
from langchain_easyllm._local.model import PipelineModel
from langchain_easyllm._local.settings import LocalSettings

class Model:
    pass

pipeline = Model()
pipeline.tokenizer = lambda text, **_: {"input_ids": [1, 2]}
settings = LocalSettings("m", pipeline=pipeline)
language, vectors = PipelineModel(settings), EmbeddingModel(settings)
vectors._model = Model()
vectors._model.encode = lambda texts, **_: [0.5] * len(texts)
vectors._model.tokenizer = Model()
vectors._model.tokenizer.truncation_side = "right"

held, over = threading.Event(), threading.Event()
def hold():
    with language._lock, vectors._lock, generation.rng_scope(None, None):
        held.set()
        over.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
pid = os.fork()
if not pid:
    signal.alarm(10)
    assert language.look_up("/tokenize", {"inputs": "Hi"}) == [{"id": 1}, {"id": 2}]
    assert vectors.look_up("/embed", {"inputs": ["Hi"]}) == [0.5]
    with generation._rng_users.changed:
        assert generation._rng_users.changed.wait_for(lambda: generation._rng_users.count == 0, 1)
    session.open_model(settings)
    os._exit(0)
over.set()
thread.join()
assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_child_generates_with_a_thread_of_its_own(moment: str) -> None:
    assert_silent(BATCHER, MOMENTS[moment], options=MAY_FORK)


def test_a_child_waits_for_no_lock_of_its_parents() -> None:
    assert_silent(LOCKS, options=MAY_FORK)
