"""What the Hugging Face account of a token has: its name, and its dedicated endpoints."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .._http.auth import Credentials, redact, token_file, token_variable
from .._servers.urls import ROUTER
from ..errors import AuthenticationError
from .in_time import in_time
from .report import StoredEndpoint, TokenFacts

SECONDS = 6.0
"""Seconds that each question about the account may take."""


def found_token(url: str, key_variable: str | None) -> TokenFacts:
    """Return which token there is, and whether the server is sent it.

    Args:
        url: The server's root.
        key_variable: The variable that `--api-key-env` names; its key is for the server.
    """
    if key_variable:
        return TokenFacts(f"{key_variable} (--api-key-env)", sent=True)
    source = token_variable() or token_file()
    return TokenFacts(source, sent=Credentials().header_for(url) is not None)


def token_of_account() -> str | None:
    """Return the token of the environment, or of the stored login."""
    header = Credentials().header_for(ROUTER)
    return header.removeprefix("Bearer ") if header else None


class Account(NamedTuple):
    """Whose a token is, and of which organisations that user is a member."""

    user: str
    organisations: tuple[str, ...] = ()


def account_of(token: str) -> Account | None:
    """Return whose token it is; None if Hugging Face does not say.

    Raises:
        AuthenticationError: If the token is not valid.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415 - heavy, and seldom needed
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415 - as above

    try:
        said: object = in_time(lambda: HfApi(token=token).whoami(), SECONDS)
    except HfHubHTTPError as error:
        if _status(error) == 401:
            raise AuthenticationError(
                "Hugging Face refuses the token (401): it is invalid, or has expired. Make a new "
                "one at https://huggingface.co/settings/tokens, and set HF_TOKEN or run "
                "`hf auth login`.",
                status_code=401,
            ) from error
        return None
    except Exception:  # noqa: BLE001 - huggingface_hub raises what its HTTP client does
        return None
    if not isinstance(said, Mapping) or not isinstance(name := said.get("name"), str):
        return None
    organisations = said.get("orgs")
    listed = organisations if isinstance(organisations, list) else []
    names = [one.get("name") for one in listed if isinstance(one, Mapping)]
    return Account(name, tuple(name for name in names if isinstance(name, str)))


def endpoints_of(token: str, account: Account) -> tuple[Sequence[StoredEndpoint], str]:
    """Return the dedicated endpoints of an account and its organisations, or why there are none."""
    found: list[StoredEndpoint] = []
    notes: list[str] = []

    def ask() -> None:
        for namespace in (account.user, *account.organisations):
            listed, note = _endpoints_in(namespace, token)
            found.extend(listed)
            notes.append(note)

    try:
        in_time(ask, SECONDS)
    except builtins.TimeoutError:
        notes.append("Hugging Face does not answer in time")
    return [*found], "" if found or "" in notes else notes[0]


def _endpoints_in(namespace: str, token: str) -> tuple[Sequence[StoredEndpoint], str]:
    from huggingface_hub import HfApi  # noqa: PLC0415 - as above

    try:
        found = HfApi(token=token).list_inference_endpoints(namespace)
        return [
            StoredEndpoint(one.name, str(one.status), one.url, one.repository) for one in found
        ], ""
    except Exception as error:  # noqa: BLE001 - as above
        if _status(error) in (401, 403):
            return (), "the token may not list them"
        return (), redact(" ".join(str(error).split()), 120) or type(error).__name__


def _status(error: Exception) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None
