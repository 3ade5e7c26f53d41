"""Static embeddings: shapes and lengths, meaning, limits, and relevance for a rerank."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm.errors import ConfigurationError, ContextOverflowError
from langchain_easyllm.offline.embedding_model import EmbeddingModel
from langchain_easyllm.offline.weights import bundled, read_tensors, read_verified
from training.retrieval_set import PASSAGES as ENGLISH
from training.retrieval_set_korean import PASSAGES as KOREAN
from training.retrieval_set_korean import UNSEEN

TEXTS = [
    "The night train to Vienna leaves at ten and has sleeping cars.",
    "Salt draws water out of aubergine slices before they are fried.",
    "A mutex lets only one thread at a time enter the critical section.",
]
QUERIES = ["overnight rail to Austria", "cooking vegetables", "locking data between threads"]


HANGUL = [chr(code) for code in range(ord("가"), ord("힣") + 1)]


@pytest.fixture(scope="module")
def model() -> EmbeddingModel:
    return EmbeddingModel.load()


def by_hand(text: str) -> np.ndarray:
    """The mean of the pieces' vectors, worked out from the files in plain words."""
    files = read_verified(bundled("embeddings"))
    tensors = read_tensors(files["model.safetensors"])
    vocabulary = json.loads(files["tokenizer.json"])["model"]["vocab"]
    rows = [vocabulary[word] for word in text.lower().split()]
    vectors = [tensors["embeddings"][row] * float(tensors["scale"][row]) for row in rows]
    return np.sum(vectors, axis=0) / len(rows)


def test_it_is_loaded_once(model):
    assert EmbeddingModel.load() is model


def test_an_embedding_is_the_mean_of_the_pieces_vectors(model):
    mean = by_hand("Paris is the capital")
    whole = model.embed(["Paris is the capital"], normalize=False)[0]
    assert np.abs(whole - mean).max() < 1e-5
    assert (
        np.abs(model.embed(["Paris is the capital"])[0] - mean / np.linalg.norm(mean)).max() < 1e-5
    )


@given(st.lists(st.text() | st.text(HANGUL), max_size=5), st.integers(1, 256))
def test_each_text_has_an_embedding_of_length_one_or_zero(texts, dimensions):
    rows = EmbeddingModel.load().embed(texts, dimensions=dimensions, truncate=True)
    assert rows.shape == (len(texts), dimensions)
    assert rows.dtype == np.float32
    lengths = np.linalg.norm(rows, axis=1)
    assert (np.isclose(lengths, 1, atol=1e-5) | (lengths == 0)).all()


UNKNOWN = ["🙂", "Привет, как дела?", "こんにちは", "字", "ж!", "\u0e01\u0e02", "ㅋㅋㅋ", "❤️"]
"""What has no word of English or Korean; commas and question marks are none."""

KNOWN = ["!!!", "42", "좋아요🙂", "hello🙂", "Я люблю Python", "갌뷁", "漢字 한자"]


def test_a_text_of_nothing_known_is_zero_and_relevant_to_nothing(model):
    assert not model.embed(["", " \n", *UNKNOWN]).any()
    assert not model.embed([f"{'字' * 600} cat"], truncate=True).any()
    assert model.embed(KNOWN).any(axis=1).all()
    assert np.isfinite(model.score("", TEXTS)).all()
    assert (model.score("", TEXTS) < 0).all()
    assert (model.score("vienna", ["", "\u0e01"]) < model.score("vienna", TEXTS[:1])).all()
    assert model.score("vienna", []).shape == (0,)


def test_any_text_of_hangul_has_a_vector(model):
    assert model.embed(HANGUL).any(axis=1).all()
    assert model.embed(["".join(HANGUL[at::2200]) for at in range(2200)]).any(axis=1).all()


def test_hangul_taken_apart_is_the_same_text(model):
    text = "서울은 한국의 수도입니다."
    apart = unicodedata.normalize("NFD", text)
    assert apart != text
    assert (model.embed([apart]) == model.embed([text])).all()


def recall(model, passages, queries, top=3):
    """The share of queries, with the indices of their passages, that find them so."""
    found = model.embed([query for query, _ in queries]) @ model.embed(passages).T
    best = np.argsort(-found, axis=1)[:, :top]
    return np.mean([index in row for (_, index), row in zip(queries, best, strict=True)])


def test_recall_is_as_training_readme_gives_it(model):
    """Sets of some 60 or 124 queries: one is 0.008 to 0.017. Korean is weaker than English."""
    english, korean, other = ([row[0] for row in rows] for rows in (ENGLISH, KOREAN, UNSEEN))

    def queries(rows):
        return [(row[which], index) for index, row in enumerate(rows) for which in (1, 2)]

    assert recall(model, english, queries(ENGLISH)) >= 0.85
    assert recall(model, korean, queries(KOREAN)) >= 0.70
    assert recall(model, other, queries(UNSEEN)) >= 0.70
    assert recall(model, english, queries(KOREAN)) >= 0.70
    assert recall(model, korean, queries(ENGLISH)) >= 0.78
    assert recall(model, [row[3] for row in UNSEEN], queries(UNSEEN)) >= 0.75


def test_both_languages_lie_in_one_space(model):
    words = ["빵", "병원", "학교", "비행기", "데이터베이스", "고양이"]
    meanings = ["bread", "hospital", "school", "airplane", "database", "cat"]
    nearest = (model.embed(words) @ model.embed(meanings).T).argmax(1)
    assert nearest.tolist() == [*range(6)]
    query, texts = "기차는 언제 떠나나요?", ["The night train leaves at ten.", "Cats sleep a lot."]
    assert model.score(query, texts).argmax() == 0


def test_the_files_are_small():
    assert sum(map(len, read_verified(bundled("embeddings")).values())) < 12e6


def test_a_text_is_embedded_the_same_alone_and_among_others(model):
    together = model.embed(TEXTS)
    assert all(
        (model.embed([text])[0] == row).all() for text, row in zip(TEXTS, together, strict=True)
    )


def test_like_meanings_lie_near_each_other(model):
    nearest = (model.embed(QUERIES) @ model.embed(TEXTS).T).argmax(1)
    assert nearest.tolist() == [0, 1, 2]


@pytest.mark.parametrize("dimensions", [64, 128])
def test_the_first_numbers_are_a_smaller_embedding(model, dimensions):
    small = model.embed(QUERIES, dimensions=dimensions, normalize=False)
    assert (small == model.embed(QUERIES, normalize=False)[:, :dimensions]).all()
    rows = model.embed([*QUERIES, *TEXTS], dimensions=dimensions)
    assert (rows[:3] @ rows[3:].T).argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("dimensions", [0, -1, 257])
def test_there_are_no_more_dimensions_than_there_are(model, dimensions):
    with pytest.raises(ConfigurationError, match="from 1 to 256"):
        model.embed(["text"], dimensions=dimensions)


def test_a_long_text_is_refused_or_cut(model):
    text = "rice " * 300 + "snow " * 300
    with pytest.raises(ContextOverflowError, match="600 tokens, but the model takes 512"):
        model.embed([text])
    right = model.embed([text], truncate=True)[0]
    left = model.embed([text], truncate=True, truncation_direction="left")[0]
    assert (right == model.embed(["rice " * 300 + "snow " * 212])[0]).all()
    assert (left == model.embed(["rice " * 212 + "snow " * 300])[0]).all()


def test_pieces_lie_where_they_say(model):
    text = "Zürich, naïve cafés"
    pieces = model.encode(text)
    assert [text[piece.start : piece.stop] for piece in pieces] == [piece.text for piece in pieces]
    assert "".join(piece.text for piece in pieces) == text.replace(" ", "")


def test_the_relevant_text_scores_highest(model):
    for index, query in enumerate(QUERIES):
        scores = model.score(query, TEXTS)
        assert scores.shape == (3,)
        assert scores.argmax() == index
        assert scores[index] > 0 > np.delete(scores, index).max()


def test_a_score_does_not_depend_on_the_other_texts(model):
    alone = [model.score(QUERIES[0], [text])[0] for text in TEXTS]
    assert alone == pytest.approx(model.score(QUERIES[0], TEXTS).tolist(), abs=1e-4)


def test_a_name_that_vanishes_in_the_mean_decides_the_score(model):
    padding = " It was built of stone, has a market, a mill and a school, and lies on a river."
    texts = [f"{name} is a town.{padding}" for name in ("Greaxton", "Precrouville", "Leiba")]
    assert model.score("How old is Precrouville?", texts).argmax() == 1
