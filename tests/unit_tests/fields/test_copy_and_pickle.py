"""Objects that are copied, pickled, forked over and left behind at exit."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import os
import pickle
import warnings

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import AuthenticationError

from ...support.fake_errors import error
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer, text_of
from ...support.subprocess_scripts import assert_silent

CLASS = pytest.mark.parametrize("cls", CLASSES)


def sent_key(server: FakeServer) -> str | None:
    return server.requests[-1].headers.get("authorization")


@CLASS
@pytest.mark.parametrize("used", [False, True])
def test_a_pickled_object_works_and_has_its_fields(
    fake_server: FakeServer, cls: type, used: bool, mode: str
) -> None:
    serve(fake_server, "openai")
    model = cls(base_url=fake_server.url, model="one", temperature=0.25, stop=["x"], top_k=None)
    if used:
        answer(mode, model)
    again = pickle.loads(pickle.dumps(model))
    assert again._identifying_params == model._identifying_params
    assert again.model_fields_set == model.model_fields_set
    assert text_of(answer(mode, again)) == "Hello world"
    assert text_of(answer(mode, model)) == "Hello world"


@CLASS
@pytest.mark.parametrize("used", [False, True])
def test_a_pickle_leaves_the_key_behind_and_says_so(
    fake_server: FakeServer, cls: type, used: bool
) -> None:
    serve(fake_server, "openai")
    headers = {"Authorization": "Bearer hf_header", "X-Team": "red"}
    model = cls(base_url=fake_server.url, api_key="hf_topsecret", default_headers=headers)
    if used:
        model.invoke("Hi")
    raw = pickle.dumps(model)
    assert b"hf_topsecret" not in raw
    assert b"hf_header" not in raw
    again = pickle.loads(raw)
    with pytest.warns(UserWarning, match="api_key"):
        again.invoke("Hi")
    assert sent_key(fake_server) is None
    assert fake_server.requests[-1].headers["x-team"] == "red"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.invoke("Hi")  # said once


@CLASS
def test_a_refusal_says_that_the_key_was_left_behind(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "openai")
    fields = {"base_url": fake_server.url, "max_retries": 0}
    again = pickle.loads(pickle.dumps(cls(api_key="hf_topsecret", **fields)))
    for path in ("/v1/chat/completions", "/v1/completions"):
        fake_server.on("POST", path, error("router-unauthorized"))
    with (
        pytest.warns(UserWarning, match="api_key"),
        pytest.raises(AuthenticationError, match=r"pickled object leaves its key.*\.api_key"),
    ):
        again.invoke("Hi")
    with pytest.raises(AuthenticationError) as refused:
        cls(**fields).invoke("Hi")
    assert "pickle" not in str(refused.value)


def test_a_loaded_object_takes_the_key_of_its_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_here")
    for fields in ({"api_key": "hf_topsecret"}, {}):
        raw = pickle.dumps(EasyLLMChat(model="org/model", **fields))
        assert b"hf_here" not in raw
        monkeypatch.setenv("HF_TOKEN", "hf_there")
        again = pickle.loads(raw)
        assert again.api_key.get_secret_value() == "hf_there"
        assert "api_key" not in again.model_fields_set
        monkeypatch.setenv("HF_TOKEN", "hf_here")


def test_a_loaded_objects_new_key_goes_to_no_other_host(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key in the environment was never given for this server."""
    serve(fake_server, "openai")
    raw = pickle.dumps(EasyLLMChat(base_url=fake_server.url, api_key="hf_topsecret"))
    monkeypatch.setenv("HF_TOKEN", "hf_there")
    again = pickle.loads(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again.invoke("Hi")
    assert all("authorization" not in r.headers for r in fake_server.requests)


def test_a_key_assigned_after_loading_is_sent(fake_server: FakeServer) -> None:
    from pydantic import SecretStr

    serve(fake_server, "openai")
    raw = pickle.dumps(EasyLLMChat(base_url=fake_server.url, api_key="hf_topsecret"))
    again = pickle.loads(raw)
    again.api_key = SecretStr("hf_new")
    again.invoke("Hi")
    assert sent_key(fake_server) == "Bearer hf_new"


@CLASS
@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda m: m.model_copy()])
def test_copies_keep_the_key(fake_server: FakeServer, cls: type, copier, mode: str) -> None:
    serve(fake_server, "openai")
    model = cls(base_url=fake_server.url, api_key="hf_topsecret")
    for _ in range(2):  # before and after use
        again = copier(model)
        assert again == model
        answer(mode, again)
        assert sent_key(fake_server) == "Bearer hf_topsecret"
        answer(mode, model)
        assert sent_key(fake_server) == "Bearer hf_topsecret"


@CLASS
def test_a_copy_may_go_elsewhere(cls: type) -> None:
    with FakeServer() as here, FakeServer() as there:
        serve(here, "openai", ["here"])
        serve(there, "tgi", ["there"])
        model = cls(base_url=here.url)
        assert text_of(model.invoke("Hi")) == "here"
        moved = model.model_copy(update={"base_url": there.url})
        assert text_of(moved.invoke("Hi")) == "there"
        assert text_of(model.invoke("Hi")) == "here"
        model.base_url = there.url
        assert text_of(model.invoke("Hi")) == "there"


def _in_child(model: EasyLLMChat, queue: multiprocessing.Queue) -> None:
    queue.put((text_of(model.invoke("Hi")), text_of(asyncio.run(model.ainvoke("Hi")))))


def test_a_spawned_process_can_use_it(fake_server: FakeServer) -> None:
    serve(fake_server, "openai")
    model = EasyLLMChat(base_url=fake_server.url)
    model.invoke("Hi")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_in_child, args=(model, queue))
    process.start()
    assert queue.get(timeout=30) == ("Hello world", "Hello world")
    process.join(30)
    assert process.exitcode == 0
    queue.close()
    queue.join_thread()


# Each runs in a process of its own; the last lines are what is left unfinished at its exit.
USES = {
    "imported": "",
    "sync": """
with EasyLLMChat(base_url=url) as m: m.invoke('Hi')
m = EasyLLM(base_url=url); m.invoke('Hi'); m.batch(['Hi'] * 20)
t = threading.Thread(target=m.invoke, args=('Hi',)); t.start(); t.join()
m = EasyLLMChat(base_url=url); l = [m]; l.append(l); m.invoke('Hi'); del m, l
m = EasyLLMChat(base_url=url); s = m.stream('Hi'); next(s)
sys.exit(0)""",
    "loops": """
async def main():
    async with EasyLLMChat(base_url=url) as m: await m.ainvoke('Hi')
asyncio.run(main())
m = EasyLLMChat(base_url=url)
for _ in range(3): asyncio.run(m.abatch(['Hi'] * 20))
m.invoke('Hi')
t = threading.Thread(target=lambda: asyncio.run(m.ainvoke('Hi'))); t.start(); t.join()
m = EasyLLM(base_url=url)
asyncio.run(m.ainvoke('Hi'))""",
    "half an async stream": """
m = EasyLLMChat(base_url=url)
async def half():
    async for _ in m.astream('Hi'):
        break
asyncio.run(half())""",
    "an async stream kept": """
m = EasyLLMChat(base_url=url)
async def half():
    global s
    s = m.astream('Hi')
    await anext(s)
asyncio.run(half())""",
    "a task left running": """
m = EasyLLMChat(base_url=url)
async def left():
    task = asyncio.create_task(m.ainvoke('Hi'))
    await asyncio.sleep(0)
asyncio.run(left())""",
    "a loop closed without care": """
m = EasyLLMChat(base_url=url)
loop = asyncio.new_event_loop()
loop.run_until_complete(m.ainvoke('Hi'))
loop.close()""",
    "errors": """
m = EasyLLMChat(base_url='http://127.0.0.1:9', max_retries=0)
for call in (m.invoke, lambda x: asyncio.run(m.ainvoke(x))):
    try: call('Hi')
    except ConnectionError: pass""",
    "fork": """
m = EasyLLMChat(base_url=url); m.invoke('Hi'); asyncio.run(m.ainvoke('Hi'))
pid = os.fork()
assert m.invoke('Hi').text == 'Hello world'
assert asyncio.run(m.ainvoke('Hi')).text == 'Hello world'
if pid: assert os.waitpid(pid, 0)[1] == 0""",
}


@pytest.mark.parametrize("use", USES)
def test_nothing_is_printed_at_exit(fake_server: FakeServer, use: str) -> None:
    serve(fake_server, "vllm")
    script = f"""
import asyncio, logging, os, sys, threading
logging.getLogger("asyncio").setLevel(logging.ERROR)  # not that a step took 0.1 s in dev mode
from langchain_easyllm import EasyLLM, EasyLLMChat
url = {fake_server.url!r}
{USES[use]}
"""
    environment = {key: value for key, value in os.environ.items() if key != "HF_TOKEN"}
    assert_silent(script, environment=environment)
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


def test_an_llm_pickles_with_its_limiter_and_template() -> None:
    model = EasyLLM(base_url="http://localhost:8080", prompt_builder="zephyr", max_concurrency=7)
    again = pickle.loads(pickle.dumps(model))
    assert (again.prompt_builder, again.max_concurrency) == ("zephyr", 7)
