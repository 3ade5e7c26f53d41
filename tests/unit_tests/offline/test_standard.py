"""langchain-tests' integration suite, against the offline server."""

from __future__ import annotations

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.offline import OfflineServer


class TestStandard(ChatModelIntegrationTests):
    """The suite; whatever needs more understanding than the model has is switched off."""

    @pytest.fixture(autouse=True)
    def _server(self, offline_server: OfflineServer) -> None:
        self.base_url = offline_server.base_url

    @property
    def chat_model_class(self) -> type[EasyLLMChat]:
        return EasyLLMChat

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {"base_url": self.base_url, "temperature": 0}

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False

    @property
    def supports_json_mode(self) -> bool:
        return False
