"""The token goes where it was given for, and nowhere else."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
import warnings
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps
from langchain_core.runnables import ConfigurableField
from pydantic import SecretStr

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import EasyLLMError

from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import error, serve
from ...support.invocation_modes import CLASSES, answer

CLASS = pytest.mark.parametrize("cls", CLASSES)
KEY, ENVIRONMENT, HEADER = "hf_givenByHand123", "hf_environment456", "hf_inAHeader789"


def keys_seen(server: FakeServer) -> set[str | None]:
    return {request.headers.get("authorization") for request in server.requests}


@CLASS
@pytest.mark.parametrize(
    "name",
    ["HUGGINGFACE_TOKEN", "HF_TOKEN", "HUGGINGFACEHUB_API_TOKEN", "HUGGING_FACE_HUB_TOKEN"],
)
def test_the_environments_token_goes_to_no_other_host(
    fake_server: FakeServer, cls: type, name: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(fake_server, "vllm")
    monkeypatch.setenv(name, ENVIRONMENT)
    model = cls(base_url=fake_server.url)
    configured = model.configurable_fields(temperature=ConfigurableField("heat"))
    for one in (
        model,
        copy.copy(model),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        model.model_copy(update={"temperature": 0.5}),
        configured.with_config(configurable={"heat": 0.1}),
        cls(**model.__dict__),
        cls(**dict(model)),
    ):
        answer(mode, one)
    assert keys_seen(fake_server) == {None}


@CLASS
def test_a_given_key_goes_to_its_server(fake_server: FakeServer, cls: type, mode: str) -> None:
    serve(fake_server, "vllm")
    for name in ("api_key", "token", "huggingfacehub_api_token"):
        for value in (KEY, SecretStr(KEY)):
            answer(mode, cls(base_url=fake_server.url, **{name: value}))
    assert keys_seen(fake_server) == {f"Bearer {KEY}"}


@CLASS
def test_a_given_key_does_not_follow_to_another_server(cls: type) -> None:
    """It was given for that very `base_url`."""
    with FakeServer() as mine, FakeServer() as other:
        serve(mine, "vllm")
        serve(other, "vllm")
        model = cls(base_url=mine.url, api_key=KEY)
        model.invoke("Hi")
        configured = model.configurable_fields(base_url=ConfigurableField("where"))
        configured.invoke("Hi", {"configurable": {"where": other.url}})
        model.model_copy(update={"base_url": other.url}).invoke("Hi")
        assert keys_seen(mine) == {f"Bearer {KEY}"}
        assert keys_seen(other) == {None}


@CLASS
def test_a_given_key_does_not_follow_a_redirect(cls: type) -> None:
    with FakeServer() as mine, FakeServer() as other:
        serve(mine, "vllm")
        serve(other, "vllm")
        for path in ("/v1/chat/completions", "/v1/completions"):
            target = Reply(status=307, headers={"location": other.url + path})
            mine.on("POST", path, target)
        cls(base_url=mine.url, api_key=KEY, default_headers={"X-Api-Key": HEADER}).invoke("Hi")
        assert keys_seen(other) == {None}
        assert not [r for r in other.requests if HEADER in str(r.headers)]


def shown(model: Any) -> str:
    """Everything in which an object shows itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return "\n".join(
            map(
                str,
                (
                    repr(model),
                    model,
                    f"{model}",
                    model._identifying_params,
                    model._get_ls_params(),
                    dumps(model),
                    dumpd(model),
                    model.asdict() if hasattr(model, "asdict") else model._identifying_params,
                    model.to_json(),
                    model.lc_secrets,
                    model.lc_attributes,
                    model.model_dump(exclude={"default_headers"}),
                    model.model_dump_json(include={"api_key", "model"}),
                    vars(model)["api_key"],
                    pickle.dumps(model),
                    model.bind(stop=["x"]),
                    model.with_retry(),
                    dumps(model.bind(stop=["x"])),
                ),
            )
        )


@CLASS
@pytest.mark.parametrize("used", [False, True])
def test_an_object_shows_no_secret(
    fake_server: FakeServer, cls: type, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(fake_server, "vllm")
    monkeypatch.setenv("HF_TOKEN", ENVIRONMENT)
    headers = {
        "Authorization": f"Bearer {HEADER}",
        "X-Password": HEADER,
        "Cookie": HEADER,
        "X-Api-Key": HEADER,
        "X-Credential": HEADER,
    }
    for fields in ({"api_key": KEY, "default_headers": headers}, {}):
        model = cls(base_url=fake_server.url, **fields)
        if used:
            model.invoke("Hi")
        text = shown(model)
        for secret in (KEY, ENVIRONMENT, HEADER):
            assert secret not in text


@CLASS
@pytest.mark.parametrize(
    "bad",
    [
        {"temprature": 0},
        {"temperature": -1},
        {"base_url": None},
        {"model": "http://x"},
        {"prompt_builder": "zephir"},
        {"max_tokens": "many"},
        {"default_headers": {"Authorization": 5, "Cookie": HEADER}},
        {"default_headers": HEADER},
        {"api_key": [KEY]},
        {"token": KEY, "api_key": KEY + "x"},
        {"verify": 5},
    ],
)
def test_a_failed_construction_shows_no_secret(cls: type, bad: dict[str, Any]) -> None:
    fields = {"api_key": KEY, "default_headers": {"Authorization": f"Bearer {HEADER}"}}
    with pytest.raises(ValueError, match=r"\w") as caught:
        cls(**{"base_url": "http://localhost:9", **fields, **bad})
    failure = caught.value
    text = f"{failure}{failure!r}{failure.__cause__}{failure.__cause__!r}"
    text += "".join(traceback.format_exception(failure))
    errors = getattr(failure, "errors", None)
    text += str(errors()) if callable(errors) else ""
    assert KEY not in text
    assert HEADER not in text


@CLASS
def test_a_failed_call_shows_no_secret(
    fake_server: FakeServer, cls: type, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for server_name in ("vllm", "tgi"):
        serve(fake_server, server_name)
        parrot = Reply({"error": f"who is Bearer {KEY} and {HEADER}?"}, status=401)
        for path in ("/v1/chat/completions", "/v1/completions", "/generate", "/generate_stream"):
            fake_server.on("POST", path, parrot)
        model = cls(base_url=fake_server.url, api_key=KEY, default_headers={"X-Api-Key": HEADER})
        with pytest.raises(EasyLLMError) as caught:
            answer(mode, model)
        failure = caught.value
        shown = f"{failure}{failure!r}{vars(failure)}{pickle.dumps(failure)!r}"
        assert KEY not in shown
    assert KEY not in caplog.text


@CLASS
def test_a_key_is_given_by_an_alias_once(cls: type) -> None:
    with pytest.raises(ValueError, match="twice"):
        cls(model="m", token="a", api_key="b")


@CLASS
def test_a_key_that_no_header_can_carry_is_an_error(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    for key in ("hf_a\nb: c", "hf_\N{GREEK SMALL LETTER ALPHA}"):
        with pytest.raises(ValueError, match=r"token|api_key") as caught:
            cls(base_url=fake_server.url, api_key=key).invoke("Hi")
        assert key not in str(caught.value)
    assert not fake_server.requests


def test_precedence_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN", "HF_TOKEN", "HUGGINGFACE_TOKEN"]
    for name in names:
        monkeypatch.setenv(name, f"hf_{name}")
        for cls in (EasyLLMChat, EasyLLM):
            key = cls(model="m").api_key
            assert key.get_secret_value() == f"hf_{name}"
            assert cls(model="m", api_key="hf_mine").api_key.get_secret_value() == "hf_mine"


def test_an_error_without_a_token_says_what_to_do(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", ENVIRONMENT)
    serve(fake_server, "vllm")
    fake_server.on("POST", "/v1/chat/completions", error("router-unauthorized"))
    with pytest.raises(EasyLLMError, match="api_key"):
        EasyLLMChat(base_url=fake_server.url).invoke("Hi")
