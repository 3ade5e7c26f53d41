"""A Llama in plain numpy: RMSNorm, rotary positions, grouped heads, SwiGLU; float32.

One pass through the network at a time, on one thread: a token's products are too small to share. A
BLAS that hands them to threads of its own waits for them each time, which on a busy machine takes
ten times as long; and passes in several threads at once wait for Python's lock between their
products, which halves what they get done together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TypedDict

from ._extra import needs_extra

with needs_extra():
    import numpy as np
    from numpy.typing import NDArray
    from threadpoolctl import ThreadpoolController

Array = NDArray[np.float32]
_PASS = 256
"""Tokens of one pass: the scores of a long prompt against itself would take gigabytes."""
_LOCK = Lock()

# A process is forked between two passes: a lock copied while it is held is held for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute alone, with every BLAS of the process limited to the calling thread."""
    with _LOCK, _blas().limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


class Config(TypedDict):
    """The fields of a Llama's `config.json` that the network reads."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float


@dataclass(slots=True)
class Cache:
    """Keys and values of one sequence so far."""

    keys: Array  # rotated, [layer, group, position, size]; positions from `length` on are not set
    values: Array
    room: int  # the positions that it may grow to
    length: int = 0

    def grow(self, count: int) -> None:
        """Make place for further tokens: most answers end long before they have to."""
        place, needed = self.keys.shape[2], self.length + count
        if needed > place:
            shape = list(self.keys.shape)
            shape[2] = max(needed, min(2 * place, self.room))
            for name in ("keys", "values"):
                grown = np.empty(shape, np.float32)
                grown[:, :, : self.length] = getattr(self, name)[:, :, : self.length]
                setattr(self, name, grown)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer's weights, as they stand to the right of the input: [from, to]."""

    attention_norm: Array
    qkv: Array
    out: Array
    mlp_norm: Array
    gate_up: Array
    down: Array


class Llama:
    """The network, which does not change: any number of threads may share it.

    The tensors are weights by transformers' names, in any float type. Each is asked for once, so
    that a mapping may make them as they are needed. Without `lm_head.weight`, the embeddings are
    the output head as well.
    """

    def __init__(self, config: Config, tensors: Mapping[str, NDArray[np.floating]]) -> None:
        self.context = config["max_position_embeddings"]
        self._heads = config["num_attention_heads"]
        self._groups = config["num_key_value_heads"]  # of heads that share keys and values
        self._size = config["hidden_size"] // self._heads
        self._eps = np.float32(config["rms_norm_eps"])
        weights = _Weights(tensors)
        # The largest come first, while there is most room for what they are made of.
        tied = "lm_head.weight" not in tensors
        self._to_logits = weights.transposed(_EMBEDDINGS if tied else "lm_head.weight")
        # A view where they are tied: a large vocabulary is not held twice.
        self._embeddings = self._to_logits.T if tied else weights[_EMBEDDINGS]
        self._layers = [
            _layer(weights, f"model.layers.{index}.")
            for index in range(config["num_hidden_layers"])
        ]
        self._norm_weight = weights["model.norm.weight"]
        self.vocab_size = len(self._embeddings)
        half = np.arange(0, self._size, 2) / self._size
        angle = np.outer(np.arange(self.context), config["rope_theta"] ** -half)
        self._cos, self._sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    def cache(self, room: int) -> Cache:
        """Return an empty cache for a sequence of at most `room` tokens."""
        shape = (len(self._layers), self._groups, min(room, _PASS), self._size)
        return Cache(np.empty(shape, np.float32), np.empty(shape, np.float32), room)

    def hidden(self, ids: Sequence[int], cache: Cache) -> Array:
        """Run tokens that follow those in the cache, and put them into it.

        Returns the last layer's normalised states, [token, hidden size]; `logits` reads them.
        """
        parts = [
            self._pass(ids[start : start + _PASS], cache) for start in range(0, len(ids), _PASS)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _pass(self, ids: Sequence[int], cache: Cache) -> Array:
        cache.grow(len(ids))
        x = np.ascontiguousarray(self._embeddings[list(ids)])
        with one_thread():
            for index, layer in enumerate(self._layers):
                x = x + self._attend(self._norm(x, layer.attention_norm), layer, index, cache)
                x = x + _swiglu(self._norm(x, layer.mlp_norm), layer)
        cache.length += len(ids)
        return self._norm(x, self._norm_weight)

    def logits(self, hidden: Array) -> Array:
        """Return the logits of the next token after each state, [..., vocabulary]."""
        with one_thread():
            logits: Array = hidden @ self._to_logits
        return logits

    def _norm(self, x: Array, weight: Array) -> Array:
        mean: Array = np.einsum("ti,ti->t", x, x)[:, None] / np.float32(x.shape[1])
        scaled: Array = x / np.sqrt(mean + self._eps) * weight
        return scaled

    def _attend(self, x: Array, layer: _Layer, index: int, cache: Cache) -> Array:
        count, start = len(x), cache.length
        stop, rotate = start + count, self._heads + self._groups
        # [token, (heads + 2 * groups) * size] -> [query/key/value head, token, size]
        qkv = (x @ layer.qkv).reshape(count, -1, self._size).transpose(1, 0, 2)
        rotated = self._rotated(qkv[:rotate], start, stop)
        cache.keys[index, :, start:stop] = rotated[self._heads :]
        cache.values[index, :, start:stop] = qkv[rotate:]
        keys, values = cache.keys[index, :, None, :stop], cache.values[index, :, None, :stop]
        # [group, head of it, token, size]; keys and values are the same for each head of a group
        queries = rotated[: self._heads] * np.float32(self._size**-0.5)
        queries = queries.reshape(self._groups, -1, count, self._size)
        scores = queries @ keys.swapaxes(2, 3)
        if count > 1:
            scores += np.triu(np.full((count, stop), -np.inf, np.float32), 1 + start)
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)  # in place: these are the largest numbers of all
        mixed = (scores @ values) / scores.sum(-1, keepdims=True)
        mixed = mixed.reshape(self._heads, count, self._size)
        out: Array = mixed.transpose(1, 0, 2).reshape(count, -1) @ layer.out
        return out

    def _rotated(self, x: Array, start: int, stop: int) -> Array:
        """Rotate queries and keys by their positions, halves paired as in transformers."""
        cos, sin = self._cos[start:stop], self._sin[start:stop]
        first, second = x[..., : self._size // 2], x[..., self._size // 2 :]
        return np.concatenate((first * cos - second * sin, second * cos + first * sin), -1)


_EMBEDDINGS = "model.embed_tokens.weight"


class _Weights:
    """Weights in float32. Products take them as [from, to]; stored they are [to, from]."""

    def __init__(self, tensors: Mapping[str, NDArray[np.floating]]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Array:
        return np.asarray(self._tensors[name], np.float32)

    def transposed(self, *names: str) -> Array:
        """Return weights side by side, so that one product serves all of them."""
        stored = [self[name].T for name in names]
        shape = len(stored[0]), sum(weight.shape[1] for weight in stored)
        # Rows that lie in one piece are faster than columns that do.
        return np.concatenate(stored, 1, out=np.empty(shape, np.float32))


def _layer(weights: _Weights, base: str) -> _Layer:
    def product(*names: str) -> Array:
        return weights.transposed(*(f"{base}{name}_proj.weight" for name in names))

    return _Layer(
        attention_norm=weights[f"{base}input_layernorm.weight"],
        qkv=product("self_attn.q", "self_attn.k", "self_attn.v"),
        out=product("self_attn.o"),
        mlp_norm=weights[f"{base}post_attention_layernorm.weight"],
        gate_up=product("mlp.gate", "mlp.up"),
        down=product("mlp.down"),
    )


def _swiglu(x: Array, layer: _Layer) -> Array:
    both = x @ layer.gate_up
    half = both.shape[1] // 2
    gate, up = both[:, :half], both[:, half:]
    # Sigmoid by the tangent, which cannot overflow.
    sigmoid = np.tanh(gate * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5)
    out: Array = (gate * sigmoid * up) @ layer.down
    return out
