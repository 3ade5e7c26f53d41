"""What well-known models of the Hub can do, for where no server says it.

Facts only, a row for a family: the context length is `max_position_embeddings` in the model's
`config.json` on the Hub (its text model's, where it has several), so what a server takes if nobody
set another limit; tools are those of its chat template, inputs those of its model card. The newest
families, and those with 1M tokens, were checked against models.dev's list of Hugging Face's models.
No row says that a model answers by a schema: that is the server's doing.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

from .._protocols.reasoning import is_reasoning_model


class HubModel(NamedTuple):
    """The models whose names, in lower case, fit a pattern; the first row that fits is taken."""

    pattern: str
    context: int
    tools: bool | None = True  # whether its chat template writes tools; None where they disagree
    inputs: frozenset[str] = frozenset()  # beside text
    reasons: bool = False  # where its name does not say it: see `is_reasoning_model`


_IMAGES = frozenset({"image"})
_VIDEO = frozenset({"image", "video"})

HUB_MODELS = (
    HubModel("deepseek-ai/deepseek-r1-distill-*", 131_072, tools=False),
    HubModel("deepseek-ai/deepseek-r1*", 163_840),
    HubModel("deepseek-ai/deepseek-v3.[12]*", 163_840, reasons=True),
    HubModel("deepseek-ai/deepseek-v3*", 163_840),
    HubModel("deepseek-ai/deepseek-v4-flash*", 1_048_576, reasons=True),
    HubModel("deepseek-ai/deepseek-v4-pro", 1_048_576, reasons=True),
    HubModel("google/gemma-2-*-it", 8_192, tools=False),
    HubModel("google/gemma-3-1b-it", 32_768, tools=None),
    HubModel("google/gemma-3-*-it", 131_072, None, _IMAGES),
    HubModel("google/gemma-4-26b-a4b-it", 262_144, True, _IMAGES, reasons=True),
    HubModel("google/gemma-4-31b-it", 262_144, True, _IMAGES, reasons=True),
    HubModel("huggingfaceh4/zephyr-7b-*", 32_768, tools=False),
    HubModel("huggingfacetb/smollm2-*-instruct", 8_192, tools=None),
    HubModel("huggingfacetb/smollm3-3b", 65_536),
    HubModel("ibm-granite/granite-3.3-*-instruct", 131_072),
    HubModel("meta-llama/llama-3.2-*-vision-instruct", 131_072, True, _IMAGES),
    HubModel("meta-llama/*llama-3.[123]-*instruct*", 131_072),
    HubModel("meta-llama/llama-4-maverick-*instruct*", 1_048_576, True, _IMAGES),
    HubModel("meta-llama/llama-4-scout-*instruct*", 10_485_760, True, _IMAGES),
    HubModel("meta-llama/meta-llama-3-*-instruct", 8_192, tools=False),
    HubModel("microsoft/phi-3-*-4k-instruct", 4_096, tools=False),
    HubModel("microsoft/phi-3*-mini-*instruct", 131_072, tools=False),
    HubModel("microsoft/phi-4-mini-instruct", 131_072),
    HubModel("microsoft/phi-4", 16_384, tools=False),
    HubModel("minimaxai/minimax-m2*", 196_608),
    HubModel("mistralai/mistral-7b-instruct-v0.3", 32_768),
    HubModel("mistralai/mistral-nemo-instruct-2407", 131_072),
    HubModel("mistralai/mistral-small-24b-instruct-2501", 32_768),
    HubModel("mistralai/mistral-small-3.[12]-24b-instruct-*", 131_072, True, _IMAGES),
    HubModel("mistralai/mixtral-8x7b-instruct-v0.1", 32_768, tools=False),
    HubModel("moonshotai/kimi-k2-instruct", 131_072),
    HubModel("moonshotai/kimi-k2-instruct-0905", 262_144),
    HubModel("moonshotai/kimi-k2-thinking", 262_144),
    HubModel("moonshotai/kimi-k2.[56]", 262_144, True, _VIDEO, reasons=True),
    HubModel("openai/gpt-oss-*", 131_072),
    HubModel("qwen/qwen2.5-vl-*-instruct", 128_000, None, _VIDEO),
    HubModel("qwen/qwen2.5-*instruct", 32_768),
    HubModel("qwen/qwen3-coder-*", 262_144),
    HubModel("qwen/qwen3-next-80b-*", 262_144),
    HubModel("qwen/qwen3-vl-*", 262_144, True, _VIDEO),
    HubModel("qwen/qwen3-*-2507", 262_144),
    HubModel("qwen/qwen3-[0-9]*b", 40_960),
    HubModel("qwen/qwen3.[56]-*", 262_144, True, _IMAGES, reasons=True),
    HubModel("qwen/qwq-32b", 40_960),
    HubModel("zai-org/glm-4.5v", 65_536, True, _IMAGES),
    HubModel("zai-org/glm-4.5*", 131_072),
    HubModel("zai-org/glm-4.6v*", 131_072, True, _IMAGES),
    HubModel("zai-org/glm-4.[67]*", 202_752),
    HubModel("zai-org/glm-5", 202_752, reasons=True),
)


@lru_cache(maxsize=256)
def hub_model(name: str) -> HubModel | None:
    lowered = name.lower()
    return next((row for row in HUB_MODELS if fnmatchcase(lowered, row.pattern)), None)


def hub_facts(name: str | None) -> dict[str, object]:
    """Return what is known of a model by its name, under the keys of a `ModelProfile`."""
    name = (name or "").partition(":")[0]  # of a provider
    facts: dict[str, object] = {}
    row = hub_model(name)
    if row is not None:
        facts["max_input_tokens"] = row.context
        facts |= {f"{kind}_inputs": kind in row.inputs for kind in ("image", "video")}
        if row.tools is not None:
            facts["tool_calling"] = row.tools
    if is_reasoning_model(name) or (row is not None and row.reasons):
        facts["reasoning_output"] = True
    return facts
