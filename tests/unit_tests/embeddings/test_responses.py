"""What servers answer: every format there is, and what makes no sense."""

from __future__ import annotations

import itertools
import struct
from base64 import b64encode
from typing import Any

import pytest

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.errors import EasyLLMError, GenerationError, ProtocolError

from ...support.cases import each_case
from ...support.embedding_modes import embedded
from ...support.fake_embedding_servers import base64_vector, serve_tei
from ...support.fake_server import FakeServer, Reply

NAN, INFINITY = float("nan"), float("inf")
TOKENS = [[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]]
THREE = ["a", "b", "c"]


def answering(server: FakeServer, body: object, api: str, **fields: Any) -> EasyLLMEmbeddings:
    path = {"embed": "/embed", "embeddings": "/v1/embeddings", "feature-extraction": "/"}[api]
    server.on("POST", path, body if isinstance(body, Reply) else Reply(body))
    return EasyLLMEmbeddings(base_url=server.url, api=api, **fields)


def data(*vectors: object) -> dict[str, object]:
    return {"data": [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]}


@each_case(
    ("api", "body"),
    [
        ("embed", [[0.5, 1.0], [2.0, -3.0], [0.0, 4.0]]),
        ("embed", [[0.5, 1], [2, -3], [0, 4]]),  # Python servers write whole numbers like that
        ("feature-extraction", {"embeddings": [[0.5, 1], [2, -3], [0, 4]]}),
        ("embeddings", data([0.5, 1], [2, -3], [0, 4])),
        (
            "embeddings",
            data(base64_vector([0.5, 1]), base64_vector([2, -3]), base64_vector([0, 4])),
        ),
        ("embeddings", data(base64_vector([0.5, 1]), [2, -3], base64_vector([0, 4]))),
        ("embeddings", {"data": [{"embedding": [0.5, 1]}, *data(0, [2, -3], [0, 4])["data"][1:]]}),
        ("embeddings", {"data": data([0.5, 1], [2, -3], [0, 4])["data"][::-1]}),
        ("feature-extraction", [[[0.5, 1]], [[2, -3]], [[0, 4]]]),
        ("feature-extraction", [[[[0.5, 1]]], [[[2, -3]]], [[[0, 4]]]]),
    ],
)
def test_every_format_of_vectors(
    fake_server: FakeServer, api: str, body: Any, batch_mode: str
) -> None:
    vectors = embedded(batch_mode, answering(fake_server, body, api), THREE)
    assert vectors == [[0.5, 1.0], [2.0, -3.0], [0.0, 4.0]]
    assert {type(number) for vector in vectors for number in vector} == {float}


def test_a_single_vector_without_a_list_around_it(fake_server: FakeServer, mode: str) -> None:
    model = answering(fake_server, [0, 4.5], "feature-extraction")
    assert embedded(mode, model, ["a"]) == [[0.0, 4.5]]


@pytest.mark.parametrize(
    ("pooling", "vector"), [("mean", [3.0, 5.0]), ("cls", [1.0, 2.0])], ids=["mean", "cls"]
)
@pytest.mark.parametrize("deep", [False, True])
def test_one_vector_per_token_is_pooled(
    fake_server: FakeServer, pooling: str, vector: list[float], deep: bool, batch_mode: str
) -> None:
    rows = [TOKENS, TOKENS[:1], TOKENS[::-1]]
    body = [[row] for row in rows] if deep else rows
    model = answering(fake_server, body, "feature-extraction", pooling=pooling)
    third = vector if pooling == "mean" else [5.0, 9.0]
    assert embedded(batch_mode, model, THREE) == [vector, [1.0, 2.0], third]


def test_pooling_is_the_callers_to_choose(fake_server: FakeServer, sync_or_async: str) -> None:
    model = answering(fake_server, [TOKENS], "feature-extraction")
    with pytest.raises(ProtocolError, match="pooling='mean' or 'cls'"):
        embedded(sync_or_async, model, ["a"])


def test_pooled_vectors_are_normalised_too(fake_server: FakeServer, mode: str) -> None:
    body = [[[3.0, 8.0], [3.0, 0.0]]]
    fields = {"pooling": "mean", "normalize": True}
    model = answering(fake_server, body, "feature-extraction", **fields)
    assert embedded(mode, model, ["a"]) == [pytest.approx([0.6, 0.8])]


def exact(*numbers: float) -> str:
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


GOOD = [1.0, 2.0]
SENSELESS: list[tuple[str, Any, str]] = [
    ("embed", [GOOD], "1 vectors to 3 texts.*batch_size=1"),
    ("embed", [GOOD] * 4, "4 vectors to 3 texts"),
    ("embed", [], "0 vectors to 3 texts: check base_url and api"),
    ("embed", [GOOD, [1.0, None], GOOD], r"text 1 \('.*'\) has None at place 1"),
    ("embed", [GOOD, GOOD, [1.0, "2"]], r"text 2 \('.*'\) has '2' at place 1"),
    ("embed", [GOOD, GOOD, [True, 2.0]], r"text 2 \('.*'\) has True at place 0"),
    ("embed", Reply(b"[[1.0,2.0],[NaN,2.0],[1.0,2.0]]"), r"text 1 \('.*'\) has nan at place 0"),
    (
        "embed",
        Reply(b"[[1.0,2.0],[1.0,-Infinity],[1.0,2.0]]"),
        r"text 1 \('.*'\) has -inf at place 1",
    ),
    ("embed", [GOOD, GOOD, [1.0]], "text 2 has 1 dimensions"),
    ("embed", [GOOD, [], GOOD], r"vector of text 1 is '\[\]', where .*: check base_url and api"),
    ("embed", [GOOD, None, GOOD], "vector of text 1 is 'None'"),
    ("embed", "hello", "holds no vectors"),
    ("embed", Reply(b"<html>login</html>"), "<html>login"),
    ("embed", Reply(b""), "holds no vectors"),
    ("embed", {"vectors": [GOOD] * 3}, "holds no vectors"),
    ("embeddings", data(GOOD, GOOD), "2 vectors to 3 texts"),
    (
        "embeddings",
        data(exact(*GOOD), exact(NAN, 1), exact(*GOOD)),
        r"text 1 \('.*'\) has nan at place 0",
    ),
    (
        "embeddings",
        data(exact(*GOOD), exact(*GOOD), exact(1, INFINITY)),
        r"text 2 \('.*'\) has inf",
    ),
    ("embeddings", data(exact(*GOOD), "AAAAA", exact(*GOOD)), "text 1 is no base64"),
    ("embeddings", data(exact(*GOOD), "AAAA", exact(*GOOD)), "text 1 has 3 bytes"),
    ("embeddings", data(exact(*GOOD), "", exact(*GOOD)), "text 1 has 0 bytes"),
    ("embeddings", data(exact(*GOOD), exact(1), exact(*GOOD)), "text 1 has 1 dimensions"),
    ("embeddings", {"data": [{"index": 0}] * 3}, "no embedding"),
    ("embeddings", {"data": [{"index": 1, "embedding": GOOD}] * 3}, "numbers its vectors"),
    ("feature-extraction", [TOKENS, [[1.0, 2.0], [1.0]], TOKENS], "text 1 have different"),
    ("feature-extraction", [TOKENS, [[1.0, 2.0], [1.0, None]], TOKENS], "text 1"),
]


@each_case(("api", "body", "words"), SENSELESS, ids=itertools.count())
def test_an_answer_that_makes_no_sense_is_an_error(
    fake_server: FakeServer, api: str, body: Any, words: str, batch_mode: str
) -> None:
    model = answering(fake_server, body, api, pooling="mean")
    with pytest.raises(ProtocolError, match=words) as caught:
        embedded(batch_mode, model, THREE)
    assert caught.value.status_code == 200
    assert caught.value.url is not None
    assert caught.value.url.startswith(fake_server.url)


def test_the_text_is_named_by_its_place_in_the_callers_list(
    fake_server: FakeServer, batch_mode: str
) -> None:
    serve_tei(fake_server)
    broken = Reply(b'[["x"],[1.0]]')
    fake_server.on("POST", "/embed", Reply([[1.0]] * 2), broken)
    model = EasyLLMEmbeddings(
        base_url=fake_server.url, api="embed", batch_size=2, max_concurrency=1
    )
    with pytest.raises(ProtocolError, match=r"text 2 \('cc'\) has"):
        embedded(batch_mode, model, ["a", "bbb", "cc", "dddd"])


def test_vectors_of_one_call_have_one_length(fake_server: FakeServer, batch_mode: str) -> None:
    serve_tei(fake_server)
    fake_server.on("POST", "/embed", Reply([[1.0, 2.0]]), Reply([[1.0]]))
    model = EasyLLMEmbeddings(base_url=fake_server.url, api="embed", batch_size=1)
    with pytest.raises(ProtocolError, match="dimensions"):
        embedded(batch_mode, model, ["a", "b"])


def test_a_server_that_ignores_dimensions_is_found_out(fake_server: FakeServer, mode: str) -> None:
    model = answering(fake_server, data([1.0, 2.0, 3.0]), "embeddings", dimensions=2)
    with pytest.raises(ProtocolError, match="ignores dimensions"):
        embedded(mode, model, ["a"])


def test_a_failure_that_comes_with_status_200(fake_server: FakeServer, mode: str) -> None:
    body = {"error": "out of memory", "error_type": "backend"}
    with pytest.raises(GenerationError, match=r"Text 0 .*out of memory"):
        embedded(mode, answering(fake_server, body, "embed"), ["a"])


def test_no_byte_of_an_answer_breaks_more_than_a_call(fake_server: FakeServer) -> None:
    good = b'{"data":[{"index":0,"embedding":[1.0,2.0]}]}'
    for end in range(0, len(good), 3):
        model = answering(fake_server, Reply(good[:end]), "embeddings", max_retries=0)
        with pytest.raises(EasyLLMError):
            model.embed_query("a")


@pytest.mark.parametrize("mode", ["array", "aarray", "iter", "aiter"])
def test_a_number_beyond_float32_is_no_part_of_an_array(fake_server: FakeServer, mode: str) -> None:
    model = answering(fake_server, [[1.0, 2.0], [1.0, 1e39], [0.0, 1.0]], "embed")
    assert embedded("documents", model, THREE)[1] == [1.0, 1e39]
    with pytest.raises(ProtocolError, match=r"text 1 \(.*\) has a number beyond float32") as caught:
        embedded(mode, model, THREE)
    assert caught.value.index == 1
