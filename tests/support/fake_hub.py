"""The Hub's routes of one model, on a `FakeServer`.

use_hub(monkeypatch, fake_server.url, tmp_path)
serve_files(fake_server, "org/name", {"tokenizer_config.json": {"chat_template": "..."}})
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from .fake_server import Chunk, FakeServer, Received, Reply

__all__ = ["FILES", "serve_files", "use_hub"]

FILES = (
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
"""What is read of a model."""

COMMIT = "c" * 40


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str, folder: Path) -> None:
    """Let huggingface_hub ask this server, and keep in this folder what it got."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))


def serve_files(
    server: FakeServer,
    model: str,
    files: Mapping[str, object],
    *,
    token: str | None = None,
    before: Sequence[Chunk] = (),
) -> None:
    """Serve a model's files.

    Args:
        server: The server.
        model: The model's repository id.
        files: Their contents, text or JSON, by their names.
        token: Who may have them; None for everybody.
        before: What happens ahead of each answer.
    """
    for name in FILES:
        reply = _reply(files.get(name))

        def answer(request: Received, reply: Reply = reply) -> Reply:
            if token and request.headers.get("authorization") != f"Bearer {token}":
                reply = Reply(b"gated", status=403, headers={"x-error-code": "GatedRepo"})
            return replace(reply, before=before)

        for method in ("HEAD", "GET"):
            server.on(method, f"/{model}/resolve/main/{name}", answer)


def _reply(content: object) -> Reply:
    if content is None:
        headers = {"x-error-code": "EntryNotFound", "x-repo-commit": COMMIT}
        return Reply(b"no file", status=404, headers=headers)
    body = (content if isinstance(content, str) else json.dumps(content)).encode()
    return Reply(body, headers={"x-repo-commit": COMMIT, "etag": f'"{hash(body):x}"'})
