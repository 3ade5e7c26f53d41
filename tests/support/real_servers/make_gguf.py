"""Write a model directory of `make_model.py` as a GGUF file for llama.cpp.

    python make_gguf.py DIRECTORY FILE.gguf

The same weights, vocabulary and chat template, under llama.cpp's names; see the GGUF
specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. It runs in an interpreter
with torch, transformers and gguf.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from gguf import MODEL_ARCH, GGUFWriter, TokenType, get_tensor_name_map
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedTokenizerFast


def interleave(weights: torch.Tensor, heads: int) -> torch.Tensor:
    """Reorder the rows of a query or key matrix: llama.cpp rotates neighbours, Llama halves."""
    rows, columns = weights.shape
    halves = weights.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def add_parameters(writer: GGUFWriter, config: LlamaConfig) -> None:
    """Write the sizes of the model."""
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def add_tokenizer(writer: GGUFWriter, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the vocabulary, in the order of the ids, and the merges."""
    special = set(tokenizer.all_special_ids)
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    types = [TokenType.CONTROL if i in special else TokenType.NORMAL for i in range(len(tokens))]
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")  # a byte-level BPE, split as GPT-2 splits text
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(True)
    writer.add_chat_template(tokenizer.chat_template)


def add_weights(writer: GGUFWriter, model: AutoModelForCausalLM) -> None:
    """Write the weights under llama.cpp's names."""
    config = model.config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        layer = name.split(".")[-2]
        weights = interleave(tensor, heads[layer]) if layer in heads else tensor
        target = names.get_name(name, try_suffixes=(".weight",))
        writer.add_tensor(target, np.ascontiguousarray(weights.float().numpy()))


def main(directory: str, file: str) -> None:
    """Write the model of the directory into the file."""
    model = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True)
    writer = GGUFWriter(file, "llama")
    add_parameters(writer, model.config)
    add_tokenizer(writer, AutoTokenizer.from_pretrained(directory, local_files_only=True))
    add_weights(writer, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
