"""Train the tokenizer: byte-level BPE, numbers in groups of three digits, capitals kept apart.

A capitalised word never absorbs the space before it, and a number never does: a name or number is
the same tokens after a space, a quote or a bracket, which is what a small model copies best.
"""

from __future__ import annotations

import json
import pathlib
import random
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SPECIAL = [
    *(
        "<unk>",
        "<s>",
        "</s>",
        "<|end|>",
        "<|endoftext|>",
        "<|user|>",
        "<|assistant|>",
        "<|system|>",
    ),
    *("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
]
BOS, STOPS = "<s>", ("</s>", "<|end|>", "<|endoftext|>")
PIECES = r"\d{1,3}|[A-Z]+(?![a-z])|[A-Z][a-z]*| ?[a-z]+|'s| ?[^\sA-Za-z\d]+|[^\S\n]+|\n+"


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Give the splitting rule."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def train(texts: Iterator[str], vocab_size: int) -> Tokenizer:
    """Train on `texts`; every number of up to three digits becomes a token.

    Args:
        texts: Text of the mixture.
        vocab_size: Size of the vocabulary, numbers and special tokens included.

    Returns:
        The tokenizer; it puts `<s>` first when asked for special tokens.
    """
    numbers = [f"{n:0{width}d}" for width in (2, 3) for n in range(10**width)]
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(numbers) - len(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=20,
        show_progress=False,
    )
    base.train_from_iterator((strip_numbers(text) for text in texts), trainer)
    return assemble(base, numbers)


def strip_numbers(text: str) -> str:
    """Cut digits, so that no merge is spent on them."""
    return "".join(" " if char.isdigit() else char for char in text)


def assemble(base: Tokenizer, numbers: list[str]) -> Tokenizer:
    """Join special tokens, learned merges and number tokens into one vocabulary."""
    model = json.loads(base.to_str())["model"]
    order = sorted(model["vocab"], key=model["vocab"].get)
    merges = [tuple(pair) for pair in model["merges"]]
    # Both ways into each number: "330" may meet as "33" + "0" or as "3" + "30".
    merges += [(number[:cut], number[cut:]) for number in numbers for cut in range(1, len(number))]
    vocab = {token: index for index, token in enumerate([*SPECIAL, *order, *numbers])}
    whole = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    whole.pre_tokenizer = pre_tokenizer()
    whole.decoder = decoders.ByteLevel()
    whole.add_special_tokens(SPECIAL)
    whole.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocab["<s>"])]
    )
    return whole


def load_or_train(path: pathlib.Path, vocab_size: int) -> Tokenizer:
    """Read the tokenizer at `path`, or train it on a fixed sample of the mixture and write it."""
    if path.exists():
        return Tokenizer.from_file(str(path))
    from mixture import sample_texts

    tokenizer = train(sample_texts(random.Random(0), 60_000), vocab_size)
    tokenizer.save(str(path))
    return tokenizer
