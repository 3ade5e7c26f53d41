"""What cannot work is a sentence before anything is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.ray import check_ids, checkpoint, embed, run

from .conftest import texts_of, write_rows

URL = "http://127.0.0.1:9"
LOCK = threading.Lock()


def embeddings(**fields: Any) -> EasyLLMEmbeddings:
    return EasyLLMEmbeddings(base_url=URL, **fields)


def chain(**fields: Any) -> Any:
    """A chain with a model in a function's closure, where nobody would look for it."""
    model = EasyLLMChat(base_url=URL, **fields)
    prompt = ChatPromptTemplate.from_template("{text}")
    return prompt | RunnableLambda(lambda value: model.invoke(value))


def locked(value: object, lock: object = LOCK) -> object:
    with lock:
        return value


CASES: dict[str, Callable[[Any], object]] = {
    "There is no column 'words': the input has 'id', 'text'.": lambda ds: embed(
        ds, embeddings(), column="words"
    ),
    "There is no column 'words': the input has": lambda ds: run(ds, chain(), column="words"),
    "The column 'id' holds int64, not texts.": lambda ds: embed(ds, embeddings(), column="id"),
    "The input has a column that the results have as well (text)": lambda ds: embed(
        ds, embeddings(), into="text"
    ),
    "EasyLLMEmbeddings are wanted, not str.": lambda ds: embed(ds, "embeddings"),
    "A runnable (a chain, a model) is wanted, not function.": lambda ds: run(ds, locked),
    "A ray.data.Dataset is wanted, not list": lambda ds: embed([], embeddings()),
    "dtype='int8' is neither": lambda ds: embed(ds, embeddings(), dtype="int8"),
    "There is no option part_rows.": lambda ds: embed(ds, embeddings(), part_rows=3),
    "max_errors is from 0 to 1.": lambda ds: embed(ds, embeddings(), max_errors=2),
    "rows_per_block=0 has to be a whole number of at least 1.": lambda ds: embed(
        ds, embeddings(), rows_per_block=0
    ),
    "keep='id' has to be a list of columns.": lambda ds: embed(ds, embeddings(), keep="id"),
    "num_cpus cannot be among actor_options.": lambda ds: embed(
        ds, embeddings(), actor_options={"num_cpus": 1}
    ),
    "max_concurrency=2 cannot be divided among 3 actors": lambda ds: run(
        ds, chain(), max_concurrency=2, actors=3
    ),
    "actors=0 has to be a whole number of at least 1.": lambda ds: run(ds, chain(), actors=0),
    "The EasyLLMEmbeddings would arrive in the actors without its api_key": lambda ds: embed(
        ds, embeddings(api_key="hf_secret")
    ),
    "without its api_key: ": lambda ds: embed(ds, embeddings(api_key=lambda: "hf_secret")),
    "The EasyLLMChat would arrive in the actors without its api_key": lambda ds: run(
        ds, chain(api_key="hf_secret")
    ),
    "without its request_hook, x-secret": lambda ds: embed(
        ds, embeddings(request_hook=lambda _: {}, default_headers={"x-secret": "1"})
    ),
    "The runnable cannot be sent to the actors, as it cannot be pickled (TypeError: cannot pickle "
    "'_thread.lock' object)": lambda ds: run(ds, RunnableLambda(locked_by_lambda())),
}


def locked_by_lambda() -> Callable[[object], object]:
    lock = threading.Lock()
    return lambda value: locked(value, lock)


def test_what_cannot_work_is_said_at_once(ray, tmp_path: Path):
    dataset = ray.data.read_parquet(write_rows(tmp_path / "in.parquet", texts_of(3)))
    for words, job in CASES.items():
        with pytest.raises(ConfigurationError) as caught:
            job(dataset)
        message = caught.value.message
        assert words in message, message
        assert "hf_secret" not in message
        assert "\n" not in message


def test_what_is_known_later_stops_the_job_before_anything_is_sent(ray):
    made = ray.data.from_items([{"text": "a"}]).map(lambda row: {"words": row["text"]})
    with pytest.raises(ConfigurationError, match="There is no column 'text'"):
        embed(made, embeddings(), actors=1).materialize()


def test_checkpoints_that_would_be_of_no_use(ray, tmp_path: Path):
    source = write_rows(tmp_path / "in.parquet", texts_of(3))
    before = ray.data.read_parquet(source)
    with pytest.raises(ConfigurationError, match="Ray accepts no such checkpoint: "):
        checkpoint(tmp_path / "ids", "")
    checkpoint(tmp_path / "ids", "id")
    with pytest.raises(ConfigurationError, match=r"read before checkpoint\(...\) was called"):
        embed(before, embeddings())
    dataset = ray.data.read_parquet(source)
    with pytest.raises(ConfigurationError, match="needs the column 'id'"):
        embed(dataset, embeddings(), keep=["text"])
    for made, name in (
        (ray.data.from_arrow(pa.table({"id": [1], "text": ["a"]})), "ray.data.from_arrow"),
        (dataset.union(ray.data.from_items([{"id": 1, "text": "a"}])), "ray.data.from_items"),
    ):
        with pytest.raises(ConfigurationError, match=f"The dataset is made by {name}, and Ray"):
            embed(made, embeddings())
    embed(dataset, embeddings())


def test_ids_that_a_checkpoint_could_not_tell_apart(ray):
    for ids, words in (
        ([1, 2, 1], r"The id 1 \(id\) is there twice"),
        (["a", None], r"The id of row 1 \(id\) is null"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            check_ids(ray.data.from_arrow(pa.table({"id": ids})), "id")
    with pytest.raises(ConfigurationError, match="There is no column 'key'"):
        check_ids(ray.data.from_arrow(pa.table({"id": [1]})), "key")
    check_ids(ray.data.from_arrow(pa.table({"id": ["a", "b"]})), "id")
