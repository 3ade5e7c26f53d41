"""The connection of an object: opened when it is used, and left out of copies and pickles."""

from __future__ import annotations

import ssl
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from langchain_core.load.serializable import (
    Serializable,
    SerializedConstructor,
    SerializedNotImplemented,
)
from pydantic import PrivateAttr

from ..errors import ConfigurationError
from .api_key import EnvironmentKey, FunctionKey, environment_key, is_picklable
from .connection import CLIENTS, LOCAL, ConnectionFields
from .display import Displayed

if TYPE_CHECKING:
    from .._generation.client import GenerationClient
    from .._http.user_functions import UserFunction
    from .._servers.details import ServerDetails


_SEVERAL = (tuple, list)  # a union would be built anew on every call

HUB = "https://huggingface.co"
"""The server of models' files."""

_LEFT_BY_USE = frozenset({"_client", "_client_key", "_found"})
"""Private attributes that keep what a call has opened or loaded."""


class ClientOwner(Displayed, ConnectionFields, Serializable):
    """Opens, keeps and closes the client of the server that the fields name."""

    _client: GenerationClient | None = PrivateAttr(default=None)
    _client_key: tuple[object, ...] = PrivateAttr(default=())
    _missing_secrets: tuple[str, ...] = PrivateAttr(default=())
    _missing_clients: tuple[str, ...] = PrivateAttr(default=())

    def _hub_token(self) -> str | UserFunction | None:
        """Return the token for files of the Hub, one that may be sent there, or its function."""
        from .._http.auth import environment_token  # noqa: PLC0415 - loads with the first request

        return self._explicit_key(HUB) or environment_token()

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same fields; whether one was used already does not count."""
        if not isinstance(other, ClientOwner) or type(self) is not type(other):
            return NotImplemented
        return self._compared() == other._compared()

    def _compared(self) -> tuple[dict[str, Any], dict[str, Any]]:
        private = self.__pydantic_private__ or {}
        return (
            {name: self.__dict__.get(name) for name in type(self).model_fields},
            {name: value for name, value in private.items() if name not in _LEFT_BY_USE},
        )

    __hash__ = None  # type: ignore[assignment] # as every pydantic model that may change

    def _connect(self) -> GenerationClient:
        # Read from the dictionaries: on every call, attribute access through pydantic would cost
        # more than all the rest of this.
        fields, private = self.__dict__, self.__pydantic_private__ or {}
        headers: dict[str, str] = fields["default_headers"]
        server = fields["base_url"], fields["api_key"], fields["verify"], fields.get("bill_to")
        # The client in use keeps the caller's alive, so no other object has their ids.
        clients = id(fields["http_client"]), id(fields["http_async_client"])
        sizes = (
            fields["max_response_bytes"],
            fields["max_decompressed_bytes"],
            fields["max_error_bytes"],
            fields["requests_per_second"],
        )
        hook = fields["request_hook"]
        key: tuple[object, ...] = (*server, hook, clients, sizes, *headers.items())
        if fields.get("api") == LOCAL:
            key = (LOCAL, fields["model"])
        elif isinstance(server[0], _SEVERAL):
            key = (*key, tuple(server[0]), fields["balance"], fields["model"])
        client: GenerationClient | None = private["_client"]
        if client is None or private["_client_key"] != key:
            client = private["_client"] = self._new_client()
            private["_client_key"] = key
        return client

    def _new_client(self) -> GenerationClient:
        from .._generation.client import GenerationClient  # noqa: PLC0415 - sockets load with the first request
        from .._http.user_functions import UserFunction  # noqa: PLC0415 - as above
        from .._servers.session import SessionSettings, connect  # noqa: PLC0415 - as above

        self._check_clients()  # they may have been assigned since
        self._check_missing_clients()
        here = {name for name in ("api_key", "request_hook") if getattr(self, name) is not None}
        here.update(self.default_headers)
        if missing := ", ".join(name for name in self._missing_secrets if name not in here):
            warnings.warn(
                "A pickled object leaves its secrets behind, and functions that cannot be pickled: "
                f"{missing} is missing here. Set HF_TOKEN, or assign .api_key, .request_hook and "
                ".default_headers.",
                UserWarning,
                stacklevel=3,
            )
        addresses = self._addresses()
        settings = SessionSettings(
            url=addresses[0],
            api_key=self._explicit_key(),
            headers=tuple(self.default_headers.items()),
            verify=self.verify,
            bill_to=self.bill_to,
            request_hook=UserFunction(self.request_hook) if self.request_hook else None,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
            limits=self._response_limits(),
            requests_per_second=self.requests_per_second,
            key_left_behind="api_key" in self._missing_secrets and self.api_key is None,
        )
        if len(addresses) == 1:
            return GenerationClient(connect(settings), self._hub_token())
        from .._servers.replicas import connect_replicas  # noqa: PLC0415 - most have one server

        keys = [self._explicit_key(address.root) for address in addresses]
        settings = replace(
            settings,
            replicas=tuple(zip(addresses, keys, strict=True)),
            balance=self.balance,
            model=self.model,
        )
        return GenerationClient(connect_replicas(settings), self._hub_token())

    def _check_missing_clients(self) -> None:
        for name in self._missing_clients:
            # Assigned since: another client, or None for own connections.
            if name not in self.model_fields_set:
                raise ConfigurationError(
                    f"A pickled object leaves its {name} behind: assign .{name} here, or None to "
                    "send requests without it."
                )

    def _public_headers(self) -> dict[str, str]:
        """Return the headers whose names show that they hold no secret."""
        if not self.default_headers:
            return {}
        from .._http.headers import without_secrets  # noqa: PLC0415 - loads with the first request

        return dict(without_secrets(self.default_headers))

    def server_info(self) -> ServerDetails:
        """Ask the server what it is: two to four short requests.

        Returns:
            Its name, version, model, protocols and limits, as far as it says.

        Raises:
            ConnectionError: If it cannot be reached.
            TimeoutError: If it does not answer in time.
        """
        from .._servers.details import server_details  # noqa: PLC0415 - seldom needed

        return server_details(self._connect().session, self._retry_policy(), self.model)

    async def aserver_info(self) -> ServerDetails:
        """The async version of `server_info`."""
        from .._servers.details import aserver_details  # noqa: PLC0415 - seldom needed

        return await aserver_details(self._connect().session, self._retry_policy(), self.model)

    def close(self) -> None:
        """Close this object's connections. It opens new ones when it is used again."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close this object's connections. It opens new ones when it is used again."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: LangChain's `dumps` and `loads` know this class."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The fields that hold a secret, and the environment variable of each."""
        return {"api_key": "HF_TOKEN"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Values of the serialised form that replace fields with secrets."""
        return {"default_headers": self._public_headers()} if self.default_headers else {}

    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """Return LangChain's serialised form, without a key of the environment or a function."""
        result = super().to_json()
        not_given = isinstance(self.api_key, EnvironmentKey | FunctionKey) or callable(self.api_key)
        if not_given and result["type"] == "constructor":
            result["kwargs"].pop("api_key", None)
        return result

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        memo = {} if memo is None else memo
        # A TLS context or a client cannot be copied, and need not be; nor what a function may hold.
        key: list[object] = [self.api_key] if callable(self.api_key) else []
        clients = self.http_client, self.http_async_client
        for shared in (self.verify, self.request_hook, *clients, *key):
            memo[id(shared)] = shared
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        # Neither sockets nor a key given by hand travel in a pickle.
        if isinstance(self.verify, ssl.SSLContext):
            raise ConfigurationError(
                "An ssl.SSLContext cannot be pickled: give verify as a CA file instead."
            )
        state = super().__getstate__()
        fields, private = dict(state["__dict__"]), dict(state["__pydantic_private__"] or {})
        private["_client"], private["_client_key"] = None, ()
        public = self._public_headers()
        left = [name for name in ("api_key", "request_hook") if not is_picklable(fields[name])]
        dropped = [name for name in self.default_headers if name not in public]
        private["_missing_secrets"] = (*left, *dropped)
        here = {"api_key"} if isinstance(self.api_key, EnvironmentKey) else set()
        fields |= dict.fromkeys(here.union(left))
        fields.pop("_serialized", None)
        fields["default_headers"] = public
        missing = {name for name in CLIENTS if fields[name] is not None}
        private["_missing_clients"] = tuple(sorted({*self._missing_clients, *missing}))
        fields.update(dict.fromkeys(CLIENTS))
        chosen = state["__pydantic_fields_set__"] - here.union(left) - missing
        own = {"__pydantic_private__": private, "__pydantic_fields_set__": chosen}
        return {**state, "__dict__": fields, **own}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        if self.__dict__["api_key"] is None:
            self.__dict__["api_key"] = environment_key()
