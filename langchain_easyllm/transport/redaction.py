"""Secrets that this process has sent, so that no error can repeat one.

Servers quote what they were sent ("invalid token hf_..."). Everything that becomes part of an
error passes through `redact`, which knows each secret in use.
"""

from __future__ import annotations

import weakref

__all__ = ["redact", "remember"]

SHORTEST = 8
"""Placeholders such as "none" or "EMPTY" are no secrets; cutting them would garble messages."""

_users: dict[str, int] = {}


def remember(owner: object, secret: str) -> None:
    """Keep a secret out of every error for as long as its owner lives.

    Args:
        owner: Object whose life bounds that of the secret in this table.
        secret: The text to hide.
    """
    if len(secret) < SHORTEST:
        return
    _users[secret] = _users.get(secret, 0) + 1
    # Not at exit: errors may still be printed then.
    weakref.finalize(owner, _forget, secret).atexit = False


def redact(text: str) -> str:
    """Replace every known secret in a text by three stars."""
    for secret in tuple(_users):
        if secret in text:
            text = text.replace(secret, "***")
    return text


def _forget(secret: str) -> None:
    left = _users.get(secret, 0) - 1
    if left > 0:
        _users[secret] = left
    else:
        _users.pop(secret, None)
