"""What SECURITY.md promises and no other module shows."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from langchain_easyllm.errors import EasyLLMError

from ..support import fake_text_servers
from ..support.fake_server import FakeServer, Reply, sse
from ..support.invocation_modes import CLASSES, answer

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "SECURITY.md").read_text(encoding="utf-8")


def test_the_tests_that_are_named_exist() -> None:
    named = re.findall(r"`((?:\w+/)?test_\w+\.py)`", PAGE)
    assert len(named) > 20
    assert [name for name in named if not list(HERE.parent.rglob(name))] == []


@pytest.mark.parametrize("cls", CLASSES)
def test_no_log_record_holds_a_prompt_or_an_answer(
    fake_server: FakeServer, cls: type, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="langchain_easyllm")
    fake_text_servers.serve(fake_server, "tgi", ["private ", "answer"])
    model = cls(base_url=fake_server.url, api="chat", model="tiny", max_retries=1)
    assert "private answer" in str(answer(mode, model, "private prompt"))
    busy = Reply({"error": "busy"}, status=503, headers={"retry-after": "0"})
    cut = sse({"choices": [{"index": 0, "delta": {"content": "private answer"}}]}, done=False)
    fake_server.on("POST", "/v1/chat/completions", busy, cut, cut)
    with pytest.raises(EasyLLMError):
        answer(mode, model, "private prompt")
    assert [record for record in caplog.records if record.name.startswith("langchain_easyllm")]
    assert "private" not in caplog.text
