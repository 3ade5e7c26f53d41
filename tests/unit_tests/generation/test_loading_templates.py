"""Templates that are loaded or rendered: beside the event loop, once, with the right key."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.prompts import get_prompt, register_prompt, registry
from langchain_easyllm.prompts import sandbox as limits
from langchain_easyllm.prompts.jinja import JinjaPrompt

from ...support.easyllm_clients import CLIENTS, GIVEN
from ...support.fake_hub import serve_files, use_hub
from ...support.fake_server import Barrier, FakeServer, Pause, Reply
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer, body_of

CLASS = pytest.mark.parametrize("cls", CLASSES)
OWN = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
OTHER = "{% for m in messages %}[{{ m.content }}]{% endfor %}"
NUMBERS = "range(99999) | map('string') | list"
ENDLESS = f"{{{{ range(99999) | select('in', {NUMBERS}) | list }}}}"
MANY = 24


async def ainvoke(model: Any, /, **kwargs: object) -> None:
    await model.ainvoke("Hi", **kwargs)


async def astream(model: Any, /, **kwargs: object) -> None:
    assert [chunk async for chunk in model.astream("Hi", **kwargs)]


async def abatch(model: Any, /, **kwargs: object) -> None:
    await model.abatch(["Hi", "Hi"], **kwargs)


ASYNC: dict[str, Callable[..., Awaitable[None]]] = {
    "ainvoke": ainvoke,
    "astream": astream,
    "abatch": abatch,
}


def folder(at: Path, template: str) -> str:
    """Make a model's directory with a template."""
    at.mkdir(exist_ok=True)
    (at / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    return str(at)


def prompt_of(server: FakeServer) -> object:
    return body_of(server, "/v1/completions")["prompt"]


async def beside(server: FakeServer, path: str, call: Awaitable[object]) -> None:
    """Make a call, and one of the loop's own while the call's request for `path` is answered."""
    before = len(server.received(path))

    async def own() -> None:
        while len(server.received(path)) == before:  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0.002)
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /own HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await reader.read(1)
        writer.close()

    await asyncio.gather(call, own())


@CLASS
@pytest.mark.parametrize("name", ["model", "model_name", "repo_id", "model_id"])
@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("mode", ASYNC)
def test_a_calls_own_model_is_loaded_beside_the_loop(
    fake_server: FakeServer, cls: type, name: str, bound: bool, mode: str
) -> None:
    serve(fake_server, "llamacpp")
    fake_server.on("GET", "/props", Reply({"chat_template": OWN}))
    model = cls(base_url=fake_server.url, model="first", prompt_builder="auto")
    model.invoke("Hi")
    # This server answers when two requests are there: the second is the loop's own.
    crowd = Barrier(2, seconds=5)
    fake_server.on("GET", "/props", Reply({"chat_template": OTHER}, before=[crowd]))
    given = {name: "second"}
    asked = model.bind(**given) if bound else model
    call = ASYNC[mode](asked, **({} if bound else given))
    asyncio.run(beside(fake_server, "/props", call))
    assert fake_server.max_in_flight >= 2
    assert prompt_of(fake_server) == "[Hi]"
    assert len(fake_server.received("/props")) == 2


@CLASS
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("mode", ASYNC)
def test_the_hub_is_asked_beside_the_loop(
    fake_server: FakeServer,
    cls: type,
    own: bool,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    use_hub(monkeypatch, fake_server.url, tmp_path)
    serve(fake_server, "openai")
    config = {"tokenizer_config.json": {"chat_template": OTHER}}
    serve_files(fake_server, "org/name", config, before=[Barrier(2, seconds=5)])
    first = "org/name" if own else folder(tmp_path / "first", OWN)
    model = cls(base_url=fake_server.url, model=first, prompt_builder="auto")
    if not own:
        model.invoke("Hi")
    call = ASYNC[mode](model, **({} if own else {"repo_id": "org/name"}))
    path = "/org/name/resolve/main/tokenizer_config.json"
    asyncio.run(beside(fake_server, path, call))
    assert fake_server.max_in_flight >= 2
    assert prompt_of(fake_server) == "[Hi]"


class Opened:
    """Which threads opened which files, while it is in force."""

    def __init__(self) -> None:
        self.files: list[tuple[str, int]] = []
        self.on = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if event == "open" and self.on:
            self.files.append((str(args[0]), threading.get_ident()))

    def threads(self, path: str) -> list[int]:
        return [thread for name, thread in list(self.files) if name.startswith(path)]


@pytest.fixture(scope="module")
def hook() -> Opened:
    """The hook, which no process can take away again."""
    return Opened()


@pytest.fixture
def opened(hook: Opened) -> Any:
    """The files opened in this test."""
    hook.files.clear()
    hook.on = True
    yield hook
    hook.on = False


@CLASS
@pytest.mark.parametrize("name", ["model", "model_name", "repo_id", "model_id"])
@pytest.mark.parametrize("mode", ASYNC)
def test_a_directory_is_read_beside_the_loop(
    fake_server: FakeServer, cls: type, name: str, mode: str, tmp_path: Path, opened: Opened
) -> None:
    serve(fake_server, "openai")
    one, other = folder(tmp_path / "one", OWN), folder(tmp_path / "other", OTHER)
    opened.files.clear()
    model = cls(base_url=fake_server.url, model=one, prompt_builder="auto")
    for given, wanted in (({}, "<user>Hi"), ({name: other}, "[Hi]")):
        asyncio.run(ASYNC[mode](model, **given))
        assert prompt_of(fake_server) == wanted
    for path in (one, other):
        assert opened.threads(path)
        assert threading.get_ident() not in opened.threads(path)


@CLASS
@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
def test_another_servers_template_is_loaded_beside_the_loop(
    fake_server: FakeServer, cls: type, mode: str, tmp_path: Path, opened: Opened
) -> None:
    """Another server listens at the address than was known: its model's template is another."""
    one, other = folder(tmp_path / "one", OWN), folder(tmp_path / "other", OTHER)
    serve(fake_server, "tgi", model=one)
    model = cls(base_url=fake_server.url, prompt_builder="auto")
    model.invoke("Hi")
    opened.files.clear()
    serve(fake_server, "llamacpp", model=other)
    for path in ("/", "/generate", "/generate_stream"):
        fake_server.on("POST", path, Reply({"error": "gone"}, status=404))
    asyncio.run(ASYNC[mode](model))
    assert prompt_of(fake_server) == "[Hi]"
    assert opened.threads(other)
    assert threading.get_ident() not in opened.threads(other)


@dataclass(frozen=True)
class Gate(JinjaPrompt):
    """A Jinja template that renders until somebody else lets it go on."""

    entered: threading.Event = field(default_factory=threading.Event, kw_only=True)
    left: threading.Event = field(default_factory=threading.Event, kw_only=True)

    def render(self, *args: Any, **kwargs: Any) -> str:
        self.entered.set()
        assert self.left.wait(5)
        return super().render(*args, **kwargs)

    async def open(self) -> None:
        while not self.entered.is_set():  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0.002)
        self.left.set()


@CLASS
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("mode", ASYNC)
def test_jinja_renders_beside_the_loop(
    fake_server: FakeServer, cls: type, named: bool, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(fake_server, "openai")
    monkeypatch.setattr(registry, "_prompts", registry._prompts.copy())
    gate = Gate.of(OTHER)
    assert isinstance(gate, Gate)
    builder = register_prompt("gate", gate, overwrite=True).name if named else gate
    model = cls(base_url=fake_server.url, prompt_builder=builder)

    async def both() -> None:
        await asyncio.gather(ASYNC[mode](model), gate.open())

    asyncio.run(both())
    assert prompt_of(fake_server) == "[Hi]"


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("streamed", [False, True])
def test_easyllms_clients_render_jinja_beside_the_loop(
    fake_server: FakeServer, kind: str, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(fake_server, "openai")
    monkeypatch.setenv("HUGGINGFACE_API_BASE", fake_server.url)
    gate = Gate.of(OTHER)
    assert isinstance(gate, Gate)

    async def both() -> None:
        client: Any = CLIENTS[kind]
        call = client.acreate(GIVEN[kind], prompt_builder=gate, stream=streamed)
        result, _ = await asyncio.gather(call, gate.open())
        if streamed:
            assert [chunk async for chunk in result]

    asyncio.run(both())
    assert prompt_of(fake_server) == "[Hi]"


@CLASS
@pytest.mark.parametrize("builder", [ENDLESS, "auto"], ids=["given", "auto"])
@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
def test_an_endless_template_leaves_the_loop_alone(
    fake_server: FakeServer,
    cls: type,
    builder: str,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_SECONDS", 0.5)
    serve(fake_server, "llamacpp")
    fake_server.on("GET", "/props", Reply({"chat_template": ENDLESS}))
    model = cls(base_url=fake_server.url, prompt_builder=builder)
    model.model_id  # noqa: B018 - so that the server is known, and the call asks nobody
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.005)
            beats += 1

    async def both() -> None:
        heart = asyncio.create_task(beat())
        with pytest.raises(ConfigurationError, match="did not end within"):
            await ASYNC[mode](model)
        heart.cancel()

    asyncio.run(both())
    assert beats >= 4  # hardly one of a loop that waits
    assert not [request for request in fake_server.requests if request.method == "POST"]


class Counting(ThreadPoolExecutor):
    """Threads that count what they are given to do."""

    jobs = 0

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        self.jobs += 1
        return super().submit(*args, **kwargs)


@CLASS
@pytest.mark.parametrize(
    ("builder", "jobs"),
    [
        (None, 0),
        ("zephyr", 0),
        ("llama3.1", 0),
        (get_prompt("vicuna"), 0),
        (lambda _: "Hi", 0),
        (OWN, 1),
        (get_prompt(OWN), 1),
        ("auto", 1),
    ],
    ids=["none", "zephyr", "llama3.1", "object", "callable", "Jinja", "Jinja-object", "auto"],
)
@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
def test_only_jinja_costs_a_thread(
    fake_server: FakeServer, cls: type, builder: Any, jobs: int, mode: str
) -> None:
    serve(fake_server, "llamacpp")
    fake_server.on("GET", "/props", Reply({"chat_template": OWN}))
    model = cls(base_url=fake_server.url, prompt_builder=builder)
    model.invoke("Hi")

    async def count() -> int:
        threads = Counting()
        asyncio.get_running_loop().set_default_executor(threads)
        await ASYNC[mode](model)
        return threads.jobs

    assert asyncio.run(count()) == jobs


def in_threads(models: list[Any]) -> None:
    with ThreadPoolExecutor(MANY) as threads:
        list(threads.map(lambda model: model.invoke("Hi"), models))


def in_tasks(models: list[Any]) -> None:
    async def ask() -> None:
        await asyncio.gather(*(model.ainvoke("Hi") for model in models))

    asyncio.run(ask())


def in_both(models: list[Any]) -> None:
    with ThreadPoolExecutor(2) as threads:
        for done in (
            threads.submit(in_threads, models[::2]),
            threads.submit(in_tasks, models[1::2]),
        ):
            done.result()


CROWDS = {"threads": in_threads, "tasks": in_tasks, "both": in_both}
CROWD = pytest.mark.parametrize("crowd", CROWDS)


@CLASS
@CROWD
@pytest.mark.parametrize("shared", [True, False], ids=["one object", "many objects"])
@pytest.mark.parametrize("named", [True, False])
def test_many_first_calls_load_a_servers_template_once(
    fake_server: FakeServer, cls: type, crowd: str, shared: bool, named: bool
) -> None:
    serve(fake_server, "llamacpp")
    fake_server.on("GET", "/props", Reply({"chat_template": OTHER}, before=[Pause(0.1)]))
    name = "tiny" if named else None

    def make() -> Any:
        return cls(base_url=fake_server.url, model=name, prompt_builder="auto")

    CROWDS[crowd]([make()] * MANY if shared else [make() for _ in range(MANY)])
    assert len(fake_server.received("/props")) == 1
    sent = [request.json for request in fake_server.received("/v1/completions")]
    assert [body["prompt"] for body in sent] == ["[Hi]"] * MANY  # type: ignore[index,call-overload]


@CROWD
def test_many_first_calls_load_a_directory_once(
    fake_server: FakeServer, crowd: str, tmp_path: Path, opened: Opened
) -> None:
    serve(fake_server, "openai")
    one, other = folder(tmp_path / "one", OTHER), folder(tmp_path / "other", OTHER)
    opened.files.clear()
    for path, calls in ((one, 1), (other, MANY)):
        model = EasyLLMChat(base_url=fake_server.url, model=path, prompt_builder="auto")
        CROWDS[crowd]([model] * calls)
    assert len(opened.threads(one)) == len(opened.threads(other)) > 0


@CROWD
def test_many_first_calls_load_of_the_hub_once(
    fake_server: FakeServer, crowd: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_hub(monkeypatch, fake_server.url, tmp_path)
    serve(fake_server, "openai")
    files = {"tokenizer_config.json": {"chat_template": OTHER}}
    asked = {}
    for name, calls in (("org/one", 1), ("org/many", MANY)):
        serve_files(fake_server, name, files, before=[Pause(0.01)])
        model = EasyLLM(base_url=fake_server.url, model=name, prompt_builder="auto")
        CROWDS[crowd]([model] * calls)
        paths = [(r.method, r.path.removeprefix(f"/{name}/")) for r in fake_server.requests]
        asked[name] = Counter(pair for pair in paths if pair[1].startswith("resolve/"))
    assert asked["org/one"] == asked["org/many"]
    assert asked["org/one"]["HEAD", "resolve/main/tokenizer_config.json"]


@CLASS
@CROWD
def test_a_failed_load_fails_all_who_wait_and_is_tried_again(
    fake_server: FakeServer, cls: type, crowd: str, tmp_path: Path
) -> None:
    serve(fake_server, "llamacpp", model="nobody/nothing")
    fake_server.on("GET", "/props", Reply({"error": "no"}, status=404, before=[Pause(0.1)]))
    path = tmp_path / "empty"
    path.mkdir()
    model = cls(base_url=fake_server.url, model=str(path), prompt_builder="auto", max_retries=0)
    failed = 0

    class Failing:
        def invoke(self, _: object) -> None:
            nonlocal failed
            with pytest.raises(ConfigurationError, match="has no chat template"):
                model.invoke("Hi")
            failed += 1

        async def ainvoke(self, _: object) -> None:
            nonlocal failed
            with pytest.raises(ConfigurationError, match="has no chat template"):
                await model.ainvoke("Hi")
            failed += 1

    CROWDS[crowd]([Failing()] * MANY)
    assert failed == MANY
    assert len(fake_server.received("/props")) < MANY
    folder(path, OTHER)
    answer("invoke", model)
    assert prompt_of(fake_server) == "[Hi]"


@pytest.mark.parametrize("template", [None, "", 5, ["a"]])
def test_a_server_without_a_template_is_no_python_error(
    fake_server: FakeServer, template: object, mode: str, tmp_path: Path
) -> None:
    serve(fake_server, "llamacpp")
    fake_server.on("GET", "/props", Reply({"chat_template": template}))
    path = folder(tmp_path / "one", OTHER)
    answer(mode, EasyLLMChat(base_url=fake_server.url, model=path, prompt_builder="auto"))
    assert prompt_of(fake_server) == "[Hi]"


def test_a_call_that_is_cancelled_leaves_the_load_to_others(fake_server: FakeServer) -> None:
    serve(fake_server, "llamacpp")
    fake_server.on("GET", "/props", Reply({"chat_template": OTHER}, before=[Pause(0.3)]))
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="auto")

    async def ask() -> None:
        tasks = [asyncio.create_task(model.ainvoke("Hi")) for _ in range(MANY)]
        while not fake_server.received("/props"):  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0.002)
        for task in tasks[::2]:
            task.cancel()
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert [isinstance(one, BaseException) for one in done] == [True, False] * (MANY // 2)

    asyncio.run(ask())
    assert len(fake_server.received("/props")) == 1


TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "WordLevel", "vocab": {"Hi": 0, "[UNK]": 1}, "unk_token": "[UNK]"},
}
ROUTER = None
SERVER = "the server"


def as_function(key: str | None) -> Any:
    return (lambda: key) if key and key.strip() else key


@pytest.mark.parametrize("given", [lambda key: key, as_function], ids=["key", "function"])
@pytest.mark.parametrize("read", ["tokens", "template"])
@pytest.mark.parametrize(
    ("made", "moved", "key", "environment", "wanted"),
    [
        (ROUTER, ROUTER, "hf_by_hand", None, "hf_by_hand"),
        (ROUTER, ROUTER, " hf_by_hand\n", None, "hf_by_hand"),
        (ROUTER, ROUTER, "hf_by_hand", "hf_around", "hf_by_hand"),
        (ROUTER, ROUTER, None, "hf_around", "hf_around"),
        (ROUTER, ROUTER, None, None, None),
        (ROUTER, ROUTER, " ", "hf_around", "hf_around"),
        (SERVER, SERVER, "for the server", None, None),
        (SERVER, SERVER, "for the server", "hf_around", "hf_around"),
        (SERVER, SERVER, None, "hf_around", "hf_around"),
        (SERVER, ROUTER, "for the server", None, None),
        (SERVER, ROUTER, "for the server", "hf_around", "hf_around"),
        (ROUTER, SERVER, "hf_by_hand", None, "hf_by_hand"),
    ],
)
def test_the_hub_is_shown_the_key_that_it_may_have(
    fake_server: FakeServer,
    given: Callable[[str | None], Any],
    read: str,
    made: str | None,
    moved: str | None,
    key: str | None,
    environment: str | None,
    wanted: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    use_hub(monkeypatch, fake_server.url, tmp_path)
    if environment:
        monkeypatch.setenv("HUGGINGFACE_TOKEN", environment)
    serve(fake_server, "openai")
    name = f"org/{abs(hash(tmp_path)):x}"  # tokenizers are kept by their name
    files = {"tokenizer.json": TOKENIZER, "tokenizer_config.json": {"chat_template": OTHER}}
    serve_files(fake_server, name, files, token=wanted)
    where = {SERVER: fake_server.url, ROUTER: None}
    model = EasyLLMChat(model=name, base_url=where[made], api_key=given(key), prompt_builder="auto")
    model.base_url = where[moved]
    if read == "tokens":
        assert model.get_num_tokens("Hi Hi") == 2
    else:
        assert model.to_prompt("Hi") == "[Hi]"
    shown = {r.headers.get("authorization") for r in fake_server.received(HUB.format(name))}
    assert shown == {wanted and f"Bearer {wanted}"}


HUB = "/{}/resolve/main/tokenizer_config.json"


@CLASS
def test_tokens_of_a_gated_model_are_counted_with_the_right_key_only(
    fake_server: FakeServer, cls: type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_hub(monkeypatch, fake_server.url, tmp_path)
    name = f"org/gated-{cls.__name__}"
    serve_files(fake_server, name, {"tokenizer.json": TOKENIZER}, token="hf_good")
    for key in ("hf_bad", None):
        with pytest.raises(ConfigurationError, match="gated"):
            cls(model=name, api_key=key).get_num_tokens("Hi")
    model = cls(model=name, api_key="hf_good")
    assert model.get_num_tokens("Hi Hi") == len(model.get_token_ids("Hi Hi")) == 2
