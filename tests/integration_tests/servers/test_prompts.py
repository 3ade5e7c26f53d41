"""Prompts that this package renders: token for token what the server's own chat route sees."""

from __future__ import annotations

import pytest

CONVERSATIONS = [
    [("human", "Hello!")],
    [("system", "You are brief."), ("human", "Hello!")],
    [("system", ""), ("human", "Hello!")],
    [("human", "Grüße, 안녕, 🌤️!"), ("ai", "Hallo."), ("human", "And now?")],
    [("human", "  two spaces, a tab\t\n"), ("ai", "\n"), ("human", "x")],
    [("human", "{{ x }} {% y %} &amp; </s> [INST]")],
    [("system", "S"), ("human", "a"), ("ai", "b"), ("human", "c"), ("ai", "d"), ("human", "e")],
]


@pytest.mark.parametrize("talk", range(len(CONVERSATIONS)))
@pytest.mark.parametrize("builder", ["smollm2", "auto"])
def test_a_template_is_what_the_server_renders(server, models, builder, talk):
    messages = CONVERSATIONS[talk]
    fields = {"prompt_builder": builder, "max_tokens": 4}
    if builder == "auto":
        if server.name == "litellm":
            pytest.skip("it publishes no template")
        if server.name != "llama-server":  # which publishes its own; others have the folder's
            fields["model"] = str(models.smollm2)
    own = server.remembered(f"talk {talk}", lambda: server.chat(max_tokens=4).invoke(messages))
    said = server.chat(**fields).invoke(messages)
    assert said.usage_metadata["input_tokens"] == own.usage_metadata["input_tokens"]
    assert said.text == own.text
