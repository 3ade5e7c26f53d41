"""Which token there is, and which hosts may have it."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigurationError
from .models import URL, is_hugging_face, parse_url
from .user_functions import UserFunction, fits_a_header

TOKEN_VARIABLES = (
    "HUGGINGFACE_TOKEN",
    "HF_TOKEN",
    "HUGGINGFACEHUB_API_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
)


def environment_token() -> str | None:
    """The token of the environment, or None; stored logins are not looked at."""
    name = token_variable()
    return os.environ[name].strip() if name else None


def token_variable() -> str | None:
    """The environment variable that has the token, or None."""
    return next((name for name in TOKEN_VARIABLES if os.environ.get(name, "").strip()), None)


def token_file() -> str | None:
    """The file of the stored login, or None."""
    return next((str(path) for path, _ in _stored_tokens()), None)


class Secret(str):
    """A secret as a variable, which a traceback may show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Credentials:
    """A token bound to the hosts that may see it.

    A key given by hand goes to the server it was given for. A token found in the environment or
    in a stored login goes to Hugging Face over https and to nobody else: not to a Space, whose
    program is its author's.

    Without `api_key` one is looked for in the environment, in the file that `hf auth login` wrote,
    and in `~/.huggingface/token`. `base_url` is the server that `api_key` was given for; None for
    Hugging Face. `left_behind` is whether there was a key, which a pickle lacks. A function as
    `api_key` goes where its token may go; what it returns is not kept.
    """

    __slots__ = ("__weakref__", "_found", "_given", "_headers", "_searched", "_server", "function",
                 "left_behind")  # fmt: skip

    def __init__(
        self,
        api_key: str | UserFunction | None = None,
        *,
        base_url: str | None = None,
        left_behind: bool = False,
    ) -> None:
        self.function = api_key if isinstance(api_key, UserFunction) else None
        self._given = ""  # a report of a failure here may show this object, and the variables
        given, api_key = Secret((api_key if isinstance(api_key, str) else "").strip()), None
        self._given = self._checked(given, "api_key")
        self._server = parse_url(base_url) if base_url else None
        self.left_behind = left_behind
        self._found = ""
        self._searched = False
        self._headers: dict[tuple[str, str, int], str | None] = {}

    def __repr__(self) -> str:
        return "Credentials(***)" if self._given or self.function else "Credentials()"

    def header_for(self, url: str) -> str | None:
        """The `Authorization` header for an address, or None if it may have no token."""
        address = parse_url(url)
        try:
            return self._headers[address.origin]
        except KeyError:
            token = self._token_for(address)
            header = self._headers[address.origin] = f"Bearer {token}" if token else None
            return header

    def withheld_from(self, url: str) -> bool:
        """Whether a token is known that this address was not sent."""
        if self.function is not None:
            return self.function_for(parse_url(url)) is None
        return self.header_for(url) is None and bool(self._given or self._search())

    def function_for(self, address: URL) -> UserFunction | None:
        """The function to ask for an address's token, if there is one and it may have it."""
        return self.function if self.function and self._was_given_for(address) else None

    def _token_for(self, address: URL) -> str:
        if self.function is not None:
            return ""
        if not self._given:
            return self._search() if is_hugging_face(address) else ""
        return self._given if self._was_given_for(address) else ""

    def _was_given_for(self, address: URL) -> bool:
        """Whether the key that was given by hand was given for an address."""
        server = self._server
        if server is not None and address.origin == server.origin:
            return True
        ours = server is None or is_hugging_face(server)
        return ours and is_hugging_face(address)

    def _search(self) -> str:
        """Look once, at first need: building an object reads no file."""
        if not self._searched:
            token = Secret(environment_token() or "")
            source = "the environment" if token else "the stored login"
            self._found = self._checked(token or Secret(_stored_token()), source)
            self._searched = True
        return self._found

    def _checked(self, token: Secret, source: str) -> str:
        if not token:
            return ""
        if not fits_a_header(token):
            where = "" if source == "api_key" else " from https://huggingface.co/settings/tokens"
            raise ConfigurationError(
                f"The token from {source} contains line breaks, control or non-ASCII characters: "
                f"copy it again{where}."
            )
        remember(self, token)
        return token


def _stored_token() -> str:
    return next((token for _, token in _stored_tokens()), "")


def _stored_tokens() -> Iterator[tuple[Path, str]]:
    for path in (_login_file(), Path("~/.huggingface/token").expanduser()):
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if token:
            yield path, token


def _login_file() -> Path:
    """Where `hf auth login` stores its token, as huggingface_hub documents it."""
    if path := os.environ.get("HF_TOKEN_PATH"):
        return Path(path).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "token"
    from huggingface_hub import constants  # noqa: PLC0415 - heavy, and seldom needed

    return Path(constants.HF_TOKEN_PATH)


_ESCAPED = re.compile(r"[\\/\"']")

SHORTEST = 8
"""Placeholders such as "none" or "EMPTY" are no secrets; cutting them would garble messages."""

# One entry for each time that a secret was given: threads and finalizers need no lock for that.
_secrets: dict[object, str] = {}


class SecretScope:
    """Owns the secrets of one call: they are kept out of errors while anything holds it."""

    __slots__ = ("__weakref__",)


def remember(owner: object, secret: str) -> None:
    """Keep a secret out of every error for as long as its owner lives."""
    if len(secret) < SHORTEST:
        return
    for spelling in _spellings(secret):
        entry = object()
        _secrets[entry] = spelling
        # Not at exit: errors may still be printed then.
        weakref.finalize(owner, _secrets.pop, entry).atexit = False


def _spellings(secret: str) -> set[str]:
    """Return a secret as it is, as JSON has it, and both as `repr` quotes a body's text."""
    if not _ESCAPED.search(secret):
        return {secret}
    escaped = secret.replace("\\", "\\\\").replace('"', '\\"')
    found = {secret, escaped, escaped.replace("/", "\\/")}
    found |= {one.replace("\\", "\\\\") for one in found}
    return found | {one.replace("'", "\\'") for one in found}


def redact(text: str, limit: int | None = None) -> str:
    """Replace every known secret in a text by three stars.

    With a limit, only so many characters of the text are read. A secret that the limit cuts
    through is hidden, too: half a token is a leak.
    """
    shown: list[str] = []
    end = 0
    # Copied in one step: other threads give and forget secrets meanwhile.
    known = list(_secrets.values())
    secrets = set(known)
    if limit is not None and len(text) > limit:
        window = text[: limit + max(map(len, secrets), default=0)]
        text = text[:limit]
    else:
        window = text
    spans = [span for secret in secrets for span in _find(secret, window)]
    # Secrets may begin, hold or overlap one another: what any of them covers is hidden.
    for start, stop in sorted(spans):
        if start >= len(text):
            break
        if start >= end:
            shown += text[end:start], "***"
        end = max(end, stop)
    return "".join(shown) + text[end:]


def _find(secret: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(secret)
    while start >= 0:
        yield start, start + len(secret)
        start = text.find(secret, start + 1)
