"""What the server answers when it refuses a request, in each protocol's own shape.

Sources: the OpenAPI documents of Text Generation Inference 3 (`ErrorResponse`) and of Text
Embeddings Inference 1.9 (`ErrorResponse`, `OpenAICompatErrorResponse`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["Refusal", "Shape", "invalid", "openai_shape", "tei_shape", "tgi_shape"]


class Refusal(Exception):  # noqa: N818 - it becomes an answer, not a traceback
    """A request that is answered with an error.

    Args:
        message: What is wrong and what would be right.
        kind: The error's type in TGI's spelling, such as `"validation"`; `""` answers the bare
            message as text, as the servers' HTTP library does before either has seen a request.
        status: HTTP status code.
        headers: More headers of the answer.
        shape: How it is written; None for the way of its route.
    """

    def __init__(
        self,
        message: str,
        kind: str = "validation",
        status: int = 422,
        headers: Mapping[str, str] | None = None,
        shape: Shape | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.status = status
        self.headers = dict(headers or {})
        self.shape = shape


Shape = Callable[[Refusal], dict[str, object]]
"""How a protocol writes a refusal."""


def invalid(message: str) -> Refusal:
    """Return the refusal of a request whose fields are wrong (422)."""
    return Refusal(f"Input validation error: {message}")


def tgi_shape(refusal: Refusal) -> dict[str, object]:
    """Write a refusal as TGI does."""
    return {"error": refusal.message, "error_type": refusal.kind}


def tei_shape(refusal: Refusal) -> dict[str, object]:
    """Write a refusal as TEI does, whose types have a capital."""
    return {"error": refusal.message, "error_type": refusal.kind.capitalize()}


def openai_shape(refusal: Refusal) -> dict[str, object]:
    """Write a refusal as TEI's OpenAI-style route does.

    Its document calls the type `error_type`, the program `type`: here it has both names.
    """
    kind = refusal.kind.capitalize()
    return {"message": refusal.message, "code": refusal.status, "type": kind, "error_type": kind}
