"""Read a Llama from a GGUF file: its config, weights and byte-level tokenizer.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Names and values become those of
transformers, and what would be read wrongly is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .._extras import needs_libraries
from ..errors import ConfigurationError
from ._extra import MissingExtraError, needs_extra
from .llama import Config

with needs_extra():
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as ByteLevelDecoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from tokenizers.processors import TemplateProcessing

if TYPE_CHECKING:
    from gguf import GGUFReader, ReaderTensor

_Value = TypeVar("_Value")

# What comes before a tensor's ".weight", here and in transformers.
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_AROUND = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
_HEAD = {"output": "lm_head"}  # missing where it is the embeddings
_CONTROL = 3  # a token's type
# How a text is cut up before its pieces are encoded, by the name that llama.cpp gives it.
_PRE_TOKENIZERS = {
    "smollm": lambda: Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
}


class GGUFModel:
    """A file that was read: the weights are dequantised when they are asked for.

    Args:
        path: The file.

    Raises:
        ConfigurationError: The file cannot be read, is damaged, or has another kind of model.
        MissingExtraError: The package `gguf` is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = _open(path)
        architecture = self._value("general.architecture", str)
        if architecture != "llama":
            raise self._refused(f"has the architecture {architecture!r}; only 'llama' can be run")
        self.config = self._read_config()
        stored = self._find_tensors()
        self.tensors: Mapping[str, NDArray[np.float32]] = _Tensors(stored)
        self._rows = int(stored["model.embed_tokens.weight"][0].shape[-1])

    @property
    def chat_template(self) -> str:
        return self._value("tokenizer.chat_template", str)

    @property
    def bos_id(self) -> int:
        return self._value("tokenizer.ggml.bos_token_id", int)

    @property
    def eos_id(self) -> int:
        return self._value("tokenizer.ggml.eos_token_id", int)

    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer."""
        kind = self._value("tokenizer.ggml.model", str)
        if kind != "gpt2":
            raise self._refused(f"has a tokenizer of the kind {kind!r}; only 'gpt2' can be read")
        cutting = self._value("tokenizer.ggml.pre", str)
        if cutting not in _PRE_TOKENIZERS:
            known = " or ".join(map(repr, _PRE_TOKENIZERS))
            raise self._refused(f"cuts texts up as {cutting!r}; only {known} can be done")
        tokens = self._strings("tokenizer.ggml.tokens")
        types = self._value("tokenizer.ggml.token_type", list)
        if not len(tokens) == len(types) == self._rows:
            raise self._refused(
                f"has {len(tokens)} tokens of {len(types)} types with {self._rows} embeddings: "
                "it is damaged"
            )
        halves = [merge.partition(" ") for merge in self._strings("tokenizer.ggml.merges")]
        merges = [(first, second) for first, _, second in halves]
        try:
            model = BPE({token: index for index, token in enumerate(tokens)}, merges)
        except Exception as error:  # tokenizers has no class of its own
            raise self._refused(f"has merges that do not fit its tokens ({error})") from error
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = _PRE_TOKENIZERS[cutting]()
        tokenizer.decoder = ByteLevelDecoder()
        control = [token for token, of in zip(tokens, types, strict=True) if of == _CONTROL]
        tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in control])
        if self._value("tokenizer.ggml.add_bos_token", bool, default=False):
            bos = tokens[self.bos_id]
            tokenizer.post_processor = TemplateProcessing(
                single=f"{bos} $A", special_tokens=[(bos, self.bos_id)]
            )
        return tokenizer

    def _read_config(self) -> Config:
        value = self._value
        heads = value("llama.attention.head_count", int)
        config = Config(
            hidden_size=value("llama.embedding_length", int),
            num_hidden_layers=value("llama.block_count", int),
            num_attention_heads=heads,
            num_key_value_heads=value("llama.attention.head_count_kv", int, default=heads),
            max_position_embeddings=value("llama.context_length", int),
            rms_norm_eps=value("llama.attention.layer_norm_rms_epsilon", float),
            rope_theta=value("llama.rope.freq_base", float, default=10_000.0),
        )
        size = config["hidden_size"] // heads
        for key in ("rope.dimension_count", "attention.key_length", "attention.value_length"):
            found = value(f"llama.{key}", int, default=size)
            if found != size:
                raise self._refused(f"has llama.{key} = {found}; only {size} can be run")
        scaling = value("llama.rope.scaling.type", str, default="none")
        if scaling != "none":
            raise self._refused(f"scales its positions as {scaling!r}, which cannot be done")
        return config

    def _find_tensors(self) -> dict[str, tuple[ReaderTensor, int]]:
        """Return the tensors by transformers' names, each with the heads that it is made of.

        The heads are counted only where llama.cpp has put the rows in another order.
        """
        config = self.config
        heads = {
            "attn_q": config["num_attention_heads"],
            "attn_k": config["num_key_value_heads"],
        }
        wanted = {own: (theirs, 0) for own, theirs in _AROUND.items()}
        for index in range(config["num_hidden_layers"]):
            for own, theirs in _LAYER.items():
                name = f"model.layers.{index}.{theirs}"
                wanted[f"blk.{index}.{own}"] = name, heads.get(own, 0)
        stored = {tensor.name: tensor for tensor in self._reader.tensors}
        missing = next((own for own in wanted if f"{own}.weight" not in stored), None)
        if missing is not None:
            raise self._refused(f"has no tensor {missing}.weight: it is damaged")
        wanted |= {own: (theirs, 0) for own, theirs in _HEAD.items() if f"{own}.weight" in stored}
        more = stored.keys() - {f"{own}.weight" for own in wanted}
        if more:
            raise self._refused(f"has the tensor {min(more)}, which this network has no place for")
        return {
            f"{theirs}.weight": (stored[f"{own}.weight"], rows)
            for own, (theirs, rows) in wanted.items()
        }

    def _value(self, key: str, kind: type[_Value], *, default: _Value | None = None) -> _Value:
        field = self._reader.fields.get(key)
        found = default if field is None else field.contents()
        if found is None:
            raise self._refused(f"does not say its {key}: it is damaged")
        if not isinstance(found, kind):
            raise self._refused(f"has {key} = {found!r:.100}, which is no {kind.__name__}")
        return found

    def _strings(self, key: str) -> list[str]:
        return [str(each) for each in self._value(key, list)]

    def _refused(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"The model file {self._path} {why}.")


class _Tensors(Mapping[str, NDArray[np.float32]]):
    """Weights in float32, made anew each time they are asked for."""

    def __init__(self, stored: Mapping[str, tuple[ReaderTensor, int]]) -> None:
        self._stored = stored

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        from gguf import GGMLQuantizationType  # noqa: PLC0415 - needs an extra of its own
        from gguf.quants import dequantize  # noqa: PLC0415

        tensor, heads = self._stored[name]
        weight = dequantize(tensor.data, tensor.tensor_type)
        if tensor.tensor_type is GGMLQuantizationType.F32:
            weight = np.array(weight)  # which is part of the file, mapped into memory
        return _halves_apart(weight, heads) if heads else weight

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def _halves_apart(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Put the rows of queries or keys into transformers' order.

    Rotary positions turn pairs of rows. They are neighbours in llama.cpp's files; with transformers
    one is in the first half of a head, the other in the second.
    """
    pairs = weight.reshape(heads, -1, 2, weight.shape[1])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def _open(path: Path) -> GGUFReader:
    with needs_libraries({"gguf"}, "GGUF files", "offline-smollm2", MissingExtraError):
        from gguf import GGUFReader  # noqa: PLC0415
    try:
        return GGUFReader(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(f"The model file {path} cannot be read: {reason}.") from error
    except (ArithmeticError, LookupError, ValueError) as error:
        raise ConfigurationError(
            f"The model file {path} is not a GGUF file, or is cut short: {error}"
        ) from error
