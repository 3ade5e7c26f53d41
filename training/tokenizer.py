"""Train the tokenizer: byte-level BPE, numbers in groups of three digits, capitals kept apart.

Each Hangul syllable is a piece of its own: the 2,350 common ones (KS X 1001) are tokens, whether
the sample has them or not, the other 8,822 are two tokens each. So a Korean name, too, is the same
tokens wherever it stands.

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
    *("<|im_start|>", "<|im_end|>"),
]
BOS, STOPS = "<s>", ("</s>", "<|end|>", "<|endoftext|>", "<|im_end|>")
PIECES = (
    r"\d{1,3}|[가-힣]|[A-Z]+(?![a-z])|[A-Z][a-z]*| ?[a-z]+|'s| ?[^\sA-Za-z\d가-힣]+|[^\S\n]+|\n+"
)


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Give the splitting rule."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def train(texts: Iterator[str], vocab_size: int) -> Tokenizer:
    """Train on `texts`; numbers of up to three digits and common Hangul syllables are tokens.

    Args:
        texts: Text of the mixture.
        vocab_size: Size of the vocabulary, Hangul, numbers and special tokens included.

    Returns:
        The tokenizer; it puts `<s>` first when asked for special tokens.
    """
    numbers = [f"{n:0{width}d}" for width in (2, 3) for n in range(10**width)]
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(numbers) - len(SPECIAL) - len(hangul()[0]),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=20,
        show_progress=False,
    )
    base.train_from_iterator((strip_numbers(text) for text in texts), trainer)
    return assemble(base, numbers)


def strip_numbers(text: str) -> str:
    """Cut digits and Hangul, so that no merge is spent on them."""
    return "".join(" " if char.isdigit() or "가" <= char <= "힣" else char for char in text)


def hangul() -> tuple[list[str], list[tuple[str, str]]]:
    """Give the tokens and merges of Hangul, in the letters of byte-level BPE."""
    common = [
        bytes((high, low)).decode("euc_kr")
        for high in range(0xB0, 0xC9)
        for low in range(0xA1, 0xFF)
    ]
    tokens: dict[str, None] = {}
    merges: dict[tuple[str, str], None] = {}
    # Every syllable's first two bytes are a token, so that a rare one is two tokens.
    for char in [*map(chr, range(ord("가"), ord("힣") + 1)), *common]:
        first, second, third = (BYTES[byte] for byte in char.encode())
        tokens[first + second] = merges[first, second] = None
    for char in common:
        first, second, third = (BYTES[byte] for byte in char.encode())
        tokens[first + second + third] = merges[first + second, third] = None
    return list(tokens), list(merges)


def _byte_letters() -> dict[int, str]:
    # As GPT-2's tokenizer has it: printable bytes stand for themselves, the others for letters
    # from U+0100 on.
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {
        byte: chr(0x100 + index) for index, byte in enumerate(rest)
    }


BYTES = _byte_letters()


def assemble(base: Tokenizer, numbers: list[str]) -> Tokenizer:
    """Join special tokens, learned merges, Hangul and number tokens into one vocabulary."""
    model = json.loads(base.to_str())["model"]
    order = sorted(model["vocab"], key=model["vocab"].get)
    merges = [tuple(pair) for pair in model["merges"]]
    syllables, pairs = hangul()
    syllables = [token for token in syllables if token not in model["vocab"]]
    merges += [pair for pair in pairs if pair not in set(merges)]
    # Both ways into each number: "330" may meet as "33" + "0" or as "3" + "30".
    merges += [(number[:cut], number[cut:]) for number in numbers for cut in range(1, len(number))]
    tokens = [*SPECIAL, *order, *syllables, *numbers]
    vocab = {token: index for index, token in enumerate(tokens)}
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
