"""Serve a sentence-transformers model as Text Embeddings Inference does.

    python minilm.py DIRECTORY PORT

A program of its own, in an environment that has sentence-transformers. TEI's routes for embeddings
(its OpenAPI document, version 1.9) and the Hub's feature extraction; 32 texts a request.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sentence_transformers import SentenceTransformer

MAX_BATCH = 32


class RefusedError(Exception):
    """A request that is answered with 422, in TEI's words."""


class Model:
    """The model, one request at a time."""

    def __init__(self, directory: str) -> None:
        self.model = SentenceTransformer(directory, device="cpu", local_files_only=True)
        self.longest = self.model.get_max_seq_length()
        self.lock = threading.Lock()

    def info(self) -> dict[str, Any]:
        return {
            "model_id": "all-MiniLM-L6-v2",
            "model_dtype": "float32",
            "model_type": {"embedding": {"pooling": "mean"}},
            "max_concurrent_requests": 512,
            "max_input_length": self.longest,
            "max_batch_tokens": 16384,
            "max_client_batch_size": MAX_BATCH,
            "auto_truncate": False,
            "version": "1.9.0",
        }

    def vectors(self, given: str | list[str], *, truncate: bool = False, **options: Any) -> Any:
        texts = [given] if isinstance(given, str) else given
        if not texts or not all(texts):
            raise RefusedError("`inputs` cannot be empty")
        if len(texts) > MAX_BATCH:
            raise RefusedError(f"batch size {len(texts)} > maximum allowed batch size {MAX_BATCH}")
        with self.lock:
            for ids in self.model.tokenizer(texts, truncation=False)["input_ids"]:
                if len(ids) > self.longest and not truncate:
                    words = f"`inputs` must have less than {self.longest} tokens."
                    raise RefusedError(f"{words} Given: {len(ids)}")
            return self.model.encode(
                texts,
                batch_size=MAX_BATCH,
                normalize_embeddings=options.get("normalize", True),
                truncate_dim=options.get("dimensions"),
                show_progress_bar=False,
            )

    def embed(self, body: dict[str, Any]) -> Any:
        return self.vectors(body.pop("inputs"), **body).tolist()

    def feature_extraction(self, body: dict[str, Any]) -> Any:
        given = body["inputs"]
        vectors = self.embed({**body, **body.pop("parameters", {})})
        return vectors[0] if isinstance(given, str) else vectors

    def openai(self, body: dict[str, Any]) -> Any:
        vectors = self.vectors(body["input"], dimensions=body.get("dimensions")).astype("<f4")
        coded = body.get("encoding_format") == "base64"
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(row).decode() if coded else row.tolist(),
            }
            for index, row in enumerate(vectors)
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        return {"object": "list", "data": data, "model": "all-MiniLM-L6-v2", "usage": usage}


class Handler(BaseHTTPRequestHandler):
    """TEI's routes."""

    protocol_version = "HTTP/1.1"
    model: Model

    def do_GET(self) -> None:
        if self.path == "/info":
            self.answer(200, self.model.info())
        else:
            self.answer(404, {"error": "not found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        routes: dict[str, Callable[[dict[str, Any]], Any]] = {
            "/embed": self.model.embed,
            "/v1/embeddings": self.model.openai,
            "/": self.model.embed,
            "/pipeline/feature-extraction": self.model.feature_extraction,
        }
        if self.path not in routes:
            self.answer(404, {"error": "not found"})
            return
        try:
            self.answer(200, routes[self.path](body))
        except RefusedError as refusal:
            self.answer(422, {"error": str(refusal), "error_type": "Validation"})

    def answer(self, status: int, content: Any) -> None:
        payload = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""


def main() -> None:
    """Serve until the process is ended."""
    directory, port = sys.argv[1:]
    Handler.model = Model(directory)
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
