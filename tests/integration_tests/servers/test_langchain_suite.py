"""langchain-tests' suite for chat models on real servers, with a model of 135M parameters.

Where decoding is constrained, calls and shapes are tested too. The model has no eyes and ears, and
its server no other model: those tests run in `tests/unit_tests/chat/test_standard_offline.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_easyllm import EasyLLMChat

from .conftest import Served

UNFORCED = {
    "test_agent_loop": "nothing forces a call, and the model writes text",
    "test_json_mode": "any object is JSON, and the model makes up its keys",
}
# A text, or white space, that nothing ends goes on in circles.
PENALISED = {"test_structured_output_optional_param", "test_tool_calling_with_no_arguments"}


class TestStandard(ChatModelIntegrationTests):
    """The suite."""

    @pytest.fixture(autouse=True)
    def _served(self, server: Served, request: pytest.FixtureRequest) -> None:
        self.server = server
        self.own = {"frequency_penalty": 1} if request.node.originalname in PENALISED else {}
        if reason := UNFORCED.get(request.node.originalname):
            server.known_fault(reason, "llama-server", "vllm", "litellm")

    @property
    def chat_model_class(self) -> type[EasyLLMChat]:
        return EasyLLMChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**self.server.place, "temperature": 0, "max_tokens": 300, **self.own}

    @property
    def has_tool_calling(self) -> bool:
        # Behind LiteLLM, llama-server drops the tools, and nothing tells that it does.
        return self.has_structured_output and self.server.name != "litellm"

    @property
    def has_tool_choice(self) -> bool:
        return self.has_tool_calling

    @property
    def has_structured_output(self) -> bool:
        return "constraints" in self.server.has

    @property
    def supports_json_mode(self) -> bool:
        return self.has_structured_output

    @property
    def supports_model_override(self) -> bool:
        return False
