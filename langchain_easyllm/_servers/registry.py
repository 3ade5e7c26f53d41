"""The servers that the package knows, in the order of the documentation."""

from __future__ import annotations

from .in_process import IN_PROCESS
from .inference_providers import INFERENCE_PROVIDERS
from .infinity import INFINITY
from .litellm import LITELLM
from .llama_cpp import LLAMA_CPP
from .llama_cpp_python import LLAMA_CPP_PYTHON
from .lm_studio import LM_STUDIO
from .lmdeploy import LMDEPLOY
from .mlx_lm import MLX_LM
from .ollama import OLLAMA
from .openai_compatible import OPENAI_COMPATIBLE
from .profile import ServerProfile
from .sglang import SGLANG
from .tensorrt_llm import TENSORRT_LLM
from .tgi import TGI
from .transformers_serve import TRANSFORMERS_SERVE
from .vllm import VLLM

SERVERS: tuple[ServerProfile, ...] = (
    TGI,
    VLLM,
    SGLANG,
    TENSORRT_LLM,
    LMDEPLOY,
    LLAMA_CPP,
    LLAMA_CPP_PYTHON,
    OLLAMA,
    LM_STUDIO,
    MLX_LM,
    TRANSFORMERS_SERVE,
    INFINITY,
    LITELLM,
    INFERENCE_PROVIDERS,
    OPENAI_COMPATIBLE,
    IN_PROCESS,
)
