"""Read a Llama from a GGUF file: its config, weights and byte-level tokenizer.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Names and values become those of
transformers, and what would be read wrongly is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .._extras import needs_libraries
from ..errors import ConfigurationError
from ._extra import MissingExtraError, needs_extra
from .llama import Config

with needs_extra():
    import numpy as np
    from numpy.typing import DTypeLike, NDArray
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
_ENDS = "the file ends before what it announces"
_LONGEST = 2**20  # tokens of a context
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
        if self._reader.byte_order != "I":
            raise self._refused("has another byte order than this machine")
        architecture = self._value("general.architecture", str)
        if architecture != "llama":
            raise self._refused(f"has the architecture {architecture!r}; only 'llama' can be run")
        self.config = self._read_config()
        stored = self._find_tensors()
        self._rows = int(stored["model.embed_tokens.weight"][0].shape[-1])
        self._check_shapes(stored)
        self.tensors: Mapping[str, NDArray[np.float32]] = _Tensors(stored, self._refused)

    @property
    def chat_template(self) -> str:
        return self._value("tokenizer.chat_template", str)

    @property
    def bos_id(self) -> int:
        return self._token("tokenizer.ggml.bos_token_id")

    @property
    def eos_id(self) -> int:
        return self._token("tokenizer.ggml.eos_token_id")

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
        if len(set(tokens)) < len(tokens):
            raise self._refused("has two tokens that are spelled alike: it is damaged")
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
        value, count = self._value, self._count
        heads = count("llama.attention.head_count")
        config = Config(
            hidden_size=count("llama.embedding_length"),
            # Every layer has tensors, and the context's positions are tables in memory.
            num_hidden_layers=count("llama.block_count", most=len(self._reader.tensors)),
            num_attention_heads=heads,
            num_key_value_heads=count("llama.attention.head_count_kv", default=heads),
            max_position_embeddings=count("llama.context_length", most=_LONGEST),
            rms_norm_eps=value("llama.attention.layer_norm_rms_epsilon", float),
            rope_theta=value("llama.rope.freq_base", float, default=10_000.0),
        )
        width, groups = config["hidden_size"], config["num_key_value_heads"]
        if width % (2 * heads) or heads % groups:
            raise self._refused(
                f"has {heads} heads in {groups} groups for a width of {width}, which do not divide"
            )
        size = width // heads
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

    def _check_shapes(self, stored: Mapping[str, tuple[ReaderTensor, int]]) -> None:
        """Refuse tensors that do not fit each other: the network does not look."""
        config, rows = self.config, self._rows
        width = config["hidden_size"]
        grouped = width // config["num_attention_heads"] * config["num_key_value_heads"]
        for name, (tensor, _) in stored.items():
            base, _, part = name.removesuffix(".weight").rpartition(".")
            wide = 0
            if base.endswith(".mlp"):
                wide = int(stored[f"{base}.up_proj.weight"][0].shape[-1])
            wanted = {
                "embed_tokens": (width, rows), "lm_head": (width, rows),
                "q_proj": (width, width), "o_proj": (width, width),
                "k_proj": (width, grouped), "v_proj": (width, grouped),
                "gate_proj": (width, wide), "up_proj": (width, wide), "down_proj": (wide, width),
            }.get(part, (width,))  # fmt: skip
            shape = tuple(map(int, tensor.shape))
            if shape != wanted:
                raise self._refused(
                    f"has the tensor {tensor.name} of {shape}, where {wanted} belongs"
                )

    def _count(self, key: str, *, most: int | None = None, default: int | None = None) -> int:
        found = self._value(key, int, default=default)
        if found < 1 or (most is not None and found > most):
            limit = "at least 1" if most is None else f"from 1 to {most:,}"
            raise self._refused(f"has {key} = {found}, which must be {limit}")
        return found

    def _token(self, key: str) -> int:
        found = self._value(key, int)
        if not 0 <= found < self._rows:
            raise self._refused(f"has {key} = {found} with {self._rows} tokens: it is damaged")
        return found

    def _value(self, key: str, kind: type[_Value], *, default: _Value | None = None) -> _Value:
        field = self._reader.fields.get(key)
        try:
            found = default if field is None else field.contents()
        except ValueError as error:
            raise self._refused(f"has no text as its {key} ({error})") from error
        if found is None:
            raise self._refused(f"does not say its {key}: it is damaged")
        if not isinstance(found, kind) or isinstance(found, bool) is not (kind is bool):
            raise self._refused(f"has {key} = {found!r:.100}, which is no {kind.__name__}")
        if isinstance(found, float) and not 0 < found < math.inf:
            raise self._refused(f"has {key} = {found}, which must be above 0")
        return found

    def _strings(self, key: str) -> list[str]:
        return [str(each) for each in self._value(key, list)]

    def _refused(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"The model file {self._path} {why}.")


class _Tensors(Mapping[str, NDArray[np.float32]]):
    """Weights in float32, made anew each time they are asked for."""

    def __init__(
        self,
        stored: Mapping[str, tuple[ReaderTensor, int]],
        refused: Callable[[str], ConfigurationError],
    ) -> None:
        self._stored = stored
        self._refused = refused

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        from gguf import GGMLQuantizationType  # noqa: PLC0415 - needs an extra of its own
        from gguf.quants import dequantize  # noqa: PLC0415

        tensor, heads = self._stored[name]
        try:
            weight = dequantize(tensor.data, tensor.tensor_type)
        except NotImplementedError:
            kind = tensor.tensor_type.name
            raise self._refused(f"stores {tensor.name} as {kind}, which cannot be read") from None
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
        from gguf import GGUFReader, GGUFValueType  # noqa: PLC0415

    class Reader(GGUFReader):
        """One that knows where the file ends, beyond which there are empty arrays without end."""

        def _get(
            self, offset: int, dtype: DTypeLike, count: int = 1, *rest: Any, **named: Any
        ) -> NDArray[Any]:
            found = super()._get(offset, dtype, count, *rest, **named)
            if len(found) < count:
                raise ValueError(_ENDS)
            return found

        def _get_field_parts(
            self, orig_offs: int, raw_type: int
        ) -> tuple[int, list[NDArray[Any]], list[int], list[GGUFValueType]]:
            if raw_type == GGUFValueType.ARRAY:  # which is read item by item
                kind, (length,) = self._get(orig_offs, np.uint32)[0], self._get(orig_offs + 4, "u8")
                scalar = self.gguf_scalar_to_np.get(kind)
                least = 8 if scalar is None else np.dtype(scalar).itemsize
                if int(length) * least > len(self.data) - orig_offs:
                    raise ValueError(_ENDS)
            return super()._get_field_parts(orig_offs, raw_type)

    try:
        return Reader(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(f"The model file {path} cannot be read: {reason}.") from error
    except (ArithmeticError, LookupError, RecursionError, ValueError) as error:
        raise ConfigurationError(
            f"The model file {path} is not a GGUF file, or is cut short: {error}"
        ) from error
