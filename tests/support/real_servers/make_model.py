"""Make a tiny Llama with random weights and a tokenizer trained on given text files.

    python make_model.py DIRECTORY FILE...

It runs in an interpreter with torch and transformers and needs no network. The model knows
nothing, but it is a real one: it loads with `AutoModelForCausalLM`, has a byte-level BPE tokenizer,
special tokens, a chat template and a generation config. The same files give the same model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BOS, EOS, PAD, TURN = "<s>", "<|end|>", "<pad>", "<|turn|>"
SPECIAL_TOKENS = [PAD, BOS, EOS, TURN]
VOCABULARY = 1024
CONTEXT = 512  # small, so that a test can overflow it

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "<|turn|>{{ message.role }}\n{{ message.content | trim }}<|end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)


def make_tokenizer(files: list[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer that starts every text with BOS, as Llama's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train(files, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens=[TURN],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Draw the weights, wide enough that greedy decoding has a clear winner at each step."""
    torch.manual_seed(20)
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.3,
        tie_word_embeddings=False,
        **ids,
    )
    model = LlamaForCausalLM(config).float().eval()
    model.generation_config = GenerationConfig(do_sample=True, temperature=0.8, top_p=0.95, **ids)
    return model


def main(directory: str, *files: str) -> None:
    """Write the tokenizer and the model into the directory."""
    tokenizer = make_tokenizer([str(Path(file).resolve()) for file in files])
    tokenizer.save_pretrained(directory)
    make_model(tokenizer).save_pretrained(directory)


if __name__ == "__main__":
    main(*sys.argv[1:])
