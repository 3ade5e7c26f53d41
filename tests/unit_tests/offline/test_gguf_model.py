"""Models in GGUF files: weights, heads and tokenizers, and the files that are refused."""

from __future__ import annotations

import struct
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFEndian, GGUFReader, GGUFWriter
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.offline.gguf_model import GGUFModel
from langchain_easyllm.offline.llama import Llama

from ...support import tiny_gguf
from ...support.tiny_gguf import CONFIG, TEMPLATE, TOKENS, random_weights, write_gguf

DOWN = "model.layers.0.mlp.down_proj.weight"
IDS = [1, 90, 80, 70, 60, 5, 4, 262, 261, 2]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path)
    return path


@pytest.fixture(scope="module")
def tokenizer(path):
    return GGUFModel(path).tokenizer()


def logits_of(config, weights, ids=IDS):
    llama = Llama(config, weights)
    return llama.logits(llama.hidden(ids, llama.cache(len(ids))))


def read(path):
    file = GGUFModel(path)
    return file.config, file.tensors


def test_metadata_and_weights_are_found_under_transformers_names(path):
    file = GGUFModel(path)
    assert file.config == {**CONFIG, "rms_norm_eps": pytest.approx(1e-5)}
    assert (file.bos_id, file.eos_id, file.chat_template) == (1, 2, TEMPLATE)
    wanted = random_weights()
    assert set(file.tensors) == set(wanted)
    for name, weight in wanted.items():
        assert np.array_equal(file.tensors[name], weight), name


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_1"])
def test_quantised_weights_are_those_that_they_stand_for(tmp_path, kind):
    wanted = write_gguf(tmp_path / "m.gguf", quantization=GGMLQuantizationType[kind])
    _, tensors = read(tmp_path / "m.gguf")
    for name, weight in wanted.items():
        assert np.array_equal(tensors[name], weight), name
    difference = logits_of(CONFIG, tensors) - logits_of(CONFIG, random_weights())
    assert 0 < np.abs(difference).max() < 20  # they are not those before


def test_heads_of_a_group_share_keys_and_values(path):
    """As if each head had them for itself, which the bundled model shows to be right."""
    config, grouped = read(path)
    spread = dict(grouped)
    for name, weight in grouped.items():
        if ".k_proj" in name or ".v_proj" in name:
            rows = weight.reshape(CONFIG["num_key_value_heads"], -1, weight.shape[1])
            spread[name] = rows.repeat(2, axis=0).reshape(-1, weight.shape[1])
    own = {**config, "num_key_value_heads": config["num_attention_heads"]}
    assert np.abs(logits_of(config, grouped) - logits_of(own, spread)).max() < 1e-4


def test_a_long_prompt_in_several_passes_has_the_logits_of_one_token_at_a_time(path):
    config, weights = read(path)
    llama = Llama(config, weights)
    ids = [*range(3, 259)] * 2
    whole = llama.hidden(ids, llama.cache(len(ids)))
    cache = llama.cache(len(ids))
    single = np.concatenate([llama.hidden([one], cache) for one in ids])
    assert whole.shape == (512, 64)
    assert np.abs(whole - single).max() < 1e-4


def test_an_output_head_of_its_own_is_used(tmp_path):
    weights = random_weights(head=True)
    write_gguf(tmp_path / "m.gguf", weights)
    config, found = read(tmp_path / "m.gguf")
    llama = Llama(config, found)
    hidden = llama.hidden(IDS, llama.cache(len(IDS)))
    wanted = hidden @ weights["lm_head.weight"].T
    assert np.abs(llama.logits(hidden) - wanted).max() < 1e-4


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("hehe a", ["he", "he", "Ġa"]),
        ("112 12", ["1", "1", "2", "Ġ", "1", "2"]),
        ("<|im_start|>x<|im_end|>\n", ["<|im_start|>", "x", "<|im_end|>", "Ċ"]),
        ("é", ["Ã", "©"]),
        ("", []),
    ],
)
def test_a_text_is_cut_into_digits_and_bytes(tokenizer, text, tokens):
    assert tokenizer.encode(text).tokens == tokens


@given(st.text())
def test_every_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_a_start_token_is_added_if_the_file_says_so(tmp_path):
    write_gguf(tmp_path / "m.gguf", metadata={"tokenizer.ggml.add_bos_token": True})
    assert GGUFModel(tmp_path / "m.gguf").tokenizer().encode("he").tokens == ["<|im_start|>", "he"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "qwen2"}, "has the architecture 'qwen2'; only 'llama' can be run."),
        ({"without": ["blk.1.ffn_up.weight"]}, "has no tensor blk.1.ffn_up.weight: it is damaged."),
        ({"without": ["token_embd.weight"]}, "has no tensor token_embd.weight: it is damaged."),
        (
            {"more": {"rope_freqs.weight": np.ones(8, np.float32)}},
            "has the tensor rope_freqs.weight, which this network has no place for.",
        ),
        (
            {"without": ["llama.context_length"]},
            "does not say its llama.context_length: it is damaged.",
        ),
        (
            {"metadata": {"llama.attention.head_count_kv": [2, 1]}},
            "has llama.attention.head_count_kv = [2, 1], which is no int.",
        ),
        (
            {"metadata": {"llama.rope.scaling.type": "yarn"}},
            "scales its positions as 'yarn', which cannot be done.",
        ),
        (
            {"metadata": {"llama.rope.dimension_count": 8}},
            "has llama.rope.dimension_count = 8; only 16 can be run.",
        ),
        (
            {"metadata": {"tokenizer.ggml.model": "llama"}},
            "has a tokenizer of the kind 'llama'; only 'gpt2' can be read.",
        ),
        (
            {"metadata": {"tokenizer.ggml.pre": "qwen2"}},
            "cuts texts up as 'qwen2'; only 'smollm' can be done.",
        ),
        (
            {"metadata": {"tokenizer.ggml.tokens": list(TOKENS[:-1])}},
            "has 262 tokens of 263 types with 263 embeddings: it is damaged.",
        ),
        ({"metadata": {"tokenizer.ggml.merges": ["h x"]}}, "has merges that do not fit its tokens"),
        (
            {"metadata": {"tokenizer.ggml.tokens": [*TOKENS[:-1], TOKENS[-2]]}},
            "has two tokens that are spelled alike: it is damaged.",
        ),
        (
            {"metadata": {"llama.attention.head_count": 0}},
            "has llama.attention.head_count = 0, which must be at least 1.",
        ),
        (
            {"metadata": {"llama.attention.head_count_kv": 3}},
            "has 4 heads in 3 groups for a width of 64, which do not divide.",
        ),
        (
            {"metadata": {"llama.block_count": 2**31}},
            "has llama.block_count = 2147483648, which must be from 1 to 20.",
        ),
        (
            {"metadata": {"llama.context_length": 2**31}},
            "has llama.context_length = 2147483648, which must be from 1 to 1,048,576.",
        ),
        (
            {"metadata": {"llama.context_length": True}},
            "has llama.context_length = True, which is no int.",
        ),
        (
            {"metadata": {"llama.rope.freq_base": float("nan")}},
            "has llama.rope.freq_base = nan, which must be above 0.",
        ),
        (
            {"weights": {**random_weights(), "model.norm.weight": np.ones(1, np.float32)}},
            "has the tensor output_norm.weight of (1,), where (64,) belongs.",
        ),
        (
            {"weights": {**random_weights(), DOWN: np.ones((64, 64), np.float32)}},
            "has the tensor blk.0.ffn_down.weight of (64, 64), where (96, 64) belongs.",
        ),
    ],
)
def test_what_would_be_read_wrongly_is_refused(tmp_path, changes, words):
    path = tmp_path / "m.gguf"
    write_gguf(path, **changes)
    with pytest.raises(ConfigurationError) as caught:
        GGUFModel(path).tokenizer()
    assert str(caught.value).startswith(f"The model file {path} {words}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["bos", "eos"])
def test_a_token_beyond_the_vocabulary_is_refused(tmp_path, name):
    key = f"tokenizer.ggml.{name}_token_id"
    write_gguf(tmp_path / "m.gguf", metadata={key: 263})
    with pytest.raises(ConfigurationError, match=f"has {key} = 263 with 263 tokens: it is damaged"):
        _ = getattr(GGUFModel(tmp_path / "m.gguf"), f"{name}_id")


def test_weights_that_cannot_be_dequantised_are_refused(tmp_path, path):
    whole, name = path.read_bytes(), b"blk.0.attn_q.weight"
    kind = whole.index(name) + len(name) + 20  # behind two dimensions
    damaged = whole[:kind] + bytes([GGMLQuantizationType.I8]) + whole[kind + 1 :]
    (tmp_path / "m.gguf").write_bytes(damaged)
    tensors = GGUFModel(tmp_path / "m.gguf").tensors
    with pytest.raises(ConfigurationError, match=r"stores blk.* as I8, which cannot"):
        _ = tensors["model.layers.0.self_attn.q_proj.weight"]


def test_a_file_of_another_byte_order_is_refused(tmp_path, monkeypatch):
    """What is quantised would be read in this machine's."""
    swapped = GGUFEndian.BIG if sys.byteorder == "little" else GGUFEndian.LITTLE
    monkeypatch.setattr(tiny_gguf, "GGUFWriter", partial(GGUFWriter, endianess=swapped))
    write_gguf(tmp_path / "m.gguf")
    with pytest.raises(ConfigurationError, match="has another byte order than this machine"):
        GGUFModel(tmp_path / "m.gguf")


def test_a_text_that_is_none_is_refused(tmp_path, path):
    (tmp_path / "m.gguf").write_bytes(path.read_bytes().replace(b"gpt2", b"gpt\xff"))
    with pytest.raises(ConfigurationError, match=r"has no text as its tokenizer\.ggml\.model"):
        GGUFModel(tmp_path / "m.gguf").tokenizer()


def array(kind: int, length: int) -> bytes:
    """The head of an array in a GGUF file."""
    return struct.pack("<IQ", kind, length)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (array(5, 2**62) + bytes(40), "the file ends before what it announces"),
        (array(9, 1) * 2000, "maximum recursion depth exceeded"),
        (struct.pack("<IQ", 9, 1), "the file ends before what it announces"),
    ],
    ids=["endless", "deep", "none"],
)
def test_an_array_that_cannot_be_is_refused(tmp_path, value, reason):
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    (tmp_path / "m.gguf").write_bytes(head + struct.pack("<Q1sI", 1, b"k", 9) + value)
    with pytest.raises(ConfigurationError, match=reason):
        GGUFModel(tmp_path / "m.gguf")


@pytest.mark.parametrize(("kind", "size"), [(0, 1), (5, 4), (8, 8), (12, 8)])
def test_an_array_is_not_begun_if_the_file_cannot_hold_it(tmp_path, monkeypatch, kind, size):
    asked = []
    read = GGUFReader._get

    def counted(*given: Any, **named: Any) -> Any:
        asked.append(given)
        return read(*given, **named)

    monkeypatch.setattr(GGUFReader, "_get", counted)
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sI", 1, b"k", 9)
    (tmp_path / "m.gguf").write_bytes(head + array(kind, 10_000 // size) + bytes(9_000))
    with pytest.raises(ConfigurationError, match="the file ends before what it announces"):
        GGUFModel(tmp_path / "m.gguf")
    assert len(asked) < 20


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\0\0\0", b"no model at all" * 100])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"m\.gguf is not a GGUF file, or is cut short"):
        GGUFModel(tmp_path / "m.gguf")


def test_a_file_cut_short_anywhere_is_refused(tmp_path, path):
    whole = path.read_bytes()
    for cut in range(0, len(whole) - 32, len(whole) // 60):
        (tmp_path / "m.gguf").write_bytes(whole[:cut])
        with pytest.raises(ConfigurationError, match="cut short"):
            GGUFModel(tmp_path / "m.gguf")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"m\.gguf cannot be read: No such file"):
        GGUFModel(tmp_path / "m.gguf")
