"""The offline model's network: a plain Llama (RMSNorm, RoPE, SwiGLU, tied embeddings) in torch.

Parameters carry the names of `transformers`' `LlamaForCausalLM`, so an export is a rename-free
dump that any Llama reader opens.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of the network; `to_config` gives them in `config.json` words."""

    vocab_size: int = 5120
    hidden_size: int = 256
    num_hidden_layers: int = 5
    num_attention_heads: int = 4
    intermediate_size: int = 704
    max_position_embeddings: int = 1024
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0

    def to_config(self) -> dict[str, object]:
        """Give the `config.json` of a Llama of this shape."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            **dataclasses.asdict(self),
            "num_key_value_heads": self.num_attention_heads,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "attention_bias": False,
            "mlp_bias": False,
            "torch_dtype": "float16",
        }


class RMSNorm(nn.Module):
    """Root-mean-square normalisation with a gain."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)).to(
            x.dtype
        ) * self.weight.to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary positions to `x` (batch, heads, length, head size), in halves as Llama."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend causally; written out because torch's fused kernel is slower on a CPU."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if q.shape[2] > 1:
        mask = torch.full(scores.shape[-2:], float("-inf"), dtype=scores.dtype)
        scores = scores + mask.triu(1 + k.shape[2] - q.shape[2])
    return scores.softmax(-1, dtype=scores.dtype) @ v


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.num_attention_heads
        size = shape.hidden_size
        self.q_proj = nn.Linear(size, size, bias=False)
        self.k_proj = nn.Linear(size, size, bias=False)
        self.v_proj = nn.Linear(size, size, bias=False)
        self.o_proj = nn.Linear(size, size, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, past: list[Tensor] | None = None
    ) -> Tensor:
        batch, length, size = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(batch, length, self.heads, size // self.heads).transpose(1, 2)

        q = rotate(split(self.q_proj(x)), cos, sin)
        k = rotate(split(self.k_proj(x)), cos, sin)
        v = split(self.v_proj(x))
        if past is not None:
            # One sequence at a time: a list holds the keys and values seen so far.
            if past:
                k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
            past[:] = [k, v]
        y = attend(q, k, v)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, size))


class MLP(nn.Module):
    """SwiGLU feed-forward."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """One decoder layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.mlp = MLP(shape)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, past: list[Tensor] | None = None
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, past)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """The whole network; the output head is the embedding matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.num_hidden_layers))
        self.norm = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        head = shape.hidden_size // shape.num_attention_heads
        inverse = shape.rope_theta ** (-torch.arange(0, head, 2).float() / head)
        angle = torch.outer(torch.arange(shape.max_position_embeddings).float(), inverse)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        # Layers begin as nothing (zero output), so that the token itself is seen through them.
        nn.init.normal_(self.embed_tokens.weight, std=0.06)
        for name, parameter in self.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2 and "embed" not in name:
                nn.init.normal_(parameter, std=self.shape.hidden_size**-0.5)

    def hidden(self, ids: Tensor, past: list[list[Tensor]] | None = None) -> Tensor:
        """Give the last layer's normalised states for `ids` (batch, length)."""
        start = past[0][0].shape[2] if past and past[0] else 0
        x = self.embed_tokens(ids)
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        cos = self.cos[start : start + ids.shape[1]].to(x.dtype)
        sin = self.sin[start : start + ids.shape[1]].to(x.dtype)
        for index, layer in enumerate(self.layers):
            x = layer(x, cos, sin, None if past is None else past[index])
        return self.norm(x)

    def forward(self, ids: Tensor, rows: Tensor) -> Tensor:
        """Give logits for the flat positions `rows` only: most positions carry no loss."""
        states = self.hidden(ids).flatten(0, 1)[rows]
        return linear(states, self.embed_tokens.weight.to(states.dtype))

    def export_state(self) -> dict[str, Tensor]:
        """Give the parameters under `transformers`' names."""
        return {f"model.{name}": value for name, value in self.state_dict().items()}
