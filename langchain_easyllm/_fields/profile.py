"""`EasyLLMChat.profile`: what the model on its server can do, found out when it is first read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Self, cast, get_type_hints

from langchain_core.language_models import ModelProfile
from langchain_core.messages import HumanMessage
from pydantic import ConfigDict, field_validator, model_validator

from .._http.event_loop import LOOP_TIMEOUT, beside_loop, runs_in_loop
from .._nearest import did_you_mean
from ..errors import ConfigurationError, EasyLLMError
from .text_model import TextModel

if TYPE_CHECKING:
    from .._generation.client import GenerationClient
    from .._generation.request import GenerationRequest

TIMEOUT = 10.0
"""Seconds that the server has to say what its model can do."""

_COUNTS = "max_input_tokens", "max_output_tokens"
# What only a server can tell: nothing is asked where the caller says both.
_OF_SERVERS = frozenset({"max_input_tokens", "structured_output"})
_FOUND = "_model_profile"  # the key in `__dict__`, beside the fields: copies and pickles keep it


class _Found(NamedTuple):
    """A profile that stays, and what it is the profile of."""

    key: tuple[object, ...]
    given: object
    profile: ModelProfile | None


class _ProfileReader:
    """Reads the field; what is in the object's own dictionary is only what the caller gave."""

    def __get__(self, model: ProfileOwner | None, owner: type) -> ModelProfile | None:
        if model is None:
            raise AttributeError("profile")  # as pydantic has it of every field of a class
        return model._read_profile()  # noqa: SLF001 - it is this one's method

    def __set__(self, model: ProfileOwner, value: object) -> None:
        model.__dict__["profile"] = value


class ProfileOwner(TextModel):
    """Finds out what the model on its server can do."""

    model_config = ConfigDict(ignored_types=(_ProfileReader,))

    profile = _ProfileReader()

    async def aload_profile(self) -> ModelProfile | None:
        """Ask the server what its model can do, and return `profile`.

        Call it where an event loop runs: reading `profile` there for the first time may hold the
        loop up, for at most 2 seconds.

        Returns:
            The profile; None if nothing is known of the model.
        """
        if self._found_profile() is None and (question := self._question()) is not None:
            client, request = question
            with suppress(EasyLLMError):
                await client.alearn_model(request)
        return self._read_profile(asks=False)

    def _read_profile(self, *, asks: bool = True) -> ModelProfile | None:
        given: object = self.__dict__.get("profile")
        if (found := self._found_profile()) is not None:
            return found.profile
        if not isinstance(given, Mapping | None):
            raise ConfigurationError(_wrong_type(given))
        facts, final = self._server_facts(asks=asks and not _OF_SERVERS.issubset(given or ()))
        table = cast("Mapping[str, object]", self._resolve_model_profile() or {})
        merged = {**table, **facts, **(given or {})}
        profile = cast("ModelProfile", merged) if merged or given is not None else None
        if final:
            self.__dict__[_FOUND] = _Found(self._profile_key(), given, profile)
        return profile

    def _found_profile(self) -> _Found | None:
        fields = self.__dict__
        found: _Found | None = fields.get(_FOUND)
        if found is None or found.given is not fields.get("profile"):
            return None
        return found if found.key == self._profile_key() else None

    def _profile_key(self) -> tuple[object, ...]:
        """Return the fields that a profile depends on: assigning one makes another profile."""
        fields = self.__dict__
        names = ("model", "base_url", "provider", "api")
        return (*map(fields.get, names), fields.get("prompt_builder") is None)

    def _server_facts(self, *, asks: bool) -> tuple[Mapping[str, object], bool]:
        """Return what the server has said of the model, and whether that is all it says."""
        question = self._question()
        if question is None:
            return {}, False
        from .._generation.model_profile import (  # noqa: PLC0415 - loads with a connection
            asked_in_vain,
            model_facts,
            note_asked,
        )

        client, request = question
        facts, final = model_facts(request, client.session)
        if final or not asks or asked_in_vain(request, client.session):
            return facts, final
        if runs_in_loop():
            seconds = min(request.policy.timeout or TIMEOUT, 2 * LOOP_TIMEOUT)
            quick = replace(request, policy=replace(request.policy, timeout=seconds))
            beside_loop(lambda: client.learn_model(quick), LOOP_TIMEOUT)
        else:
            client.learn_model(request)
        facts, final = model_facts(request, client.session)
        if not final:  # the thread may still wait, and the loop is not to wait for it once more
            note_asked(request, client.session)
        return facts, final

    def _question(self) -> tuple[GenerationClient, GenerationRequest] | None:
        """Return the client and a request of this model; None if no request can be made."""
        from .._http.models import RetryPolicy  # noqa: PLC0415 - loads with a connection

        try:
            request = self._build_request([HumanMessage("Hello")], None, {})
            client = self._connect()
        except EasyLLMError:
            return None  # a call says why
        policy = RetryPolicy(min(self.timeout or TIMEOUT, TIMEOUT), max_retries=0)
        return client, replace(request, policy=policy)

    def _resolve_model_profile(self) -> ModelProfile | None:
        """Return what is known of the model by its name, for langchain-core."""
        from .._generation.hub_models import hub_facts  # noqa: PLC0415 - loads when it is read

        client: GenerationClient | None = (self.__pydantic_private__ or {}).get("_client")
        server = client.session.server if client else None
        facts = hub_facts(self.model or (server.model if server else None))
        return cast("ModelProfile", facts) if facts else None

    @model_validator(mode="after")
    def _set_model_profile(self) -> Self:
        # In place of langchain-core's, which would read the field, and so ask the server.
        return self

    @model_validator(mode="after")
    def _check_profile_keys(self) -> Self:
        # In place of langchain-core's for the same reason, and with the nearest name.
        known = _known_keys()
        for key in self.__dict__.get("profile") or ():
            if key not in known:
                hint = did_you_mean(key, known, "a newer langchain-core may know it.")
                warnings.warn(f"profile has the unknown key {key!r}: {hint}", stacklevel=2)
        return self

    @field_validator("profile", mode="before", check_fields=False)
    @classmethod
    def _check_profile(cls, value: object) -> object:
        if not isinstance(value, Mapping | None):
            raise ConfigurationError(_wrong_type(value))
        for name in _COUNTS:
            tokens = None if value is None else value.get(name)
            if isinstance(tokens, bool) or (isinstance(tokens, int) and tokens < 1):
                raise ConfigurationError(f"profile: {name} must be a number of tokens, 1 or more.")
        return value


def _wrong_type(value: object) -> str:
    return (
        "profile must be a dict of what the model can do, as {'max_input_tokens': 8192}, and not "
        f"of type {type(value).__name__}."
    )


@lru_cache(maxsize=1)
def _known_keys() -> frozenset[str]:
    return frozenset(get_type_hints(ModelProfile))
