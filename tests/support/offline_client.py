"""Plain HTTP calls to the offline server."""

from __future__ import annotations

import json
from typing import Any

import httpx

from langchain_easyllm.offline import OfflineServer

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."
PROMPT = f"<|user|>\n{QUESTION}</s>\n<|assistant|>\n"
USER = [{"role": "user", "content": QUESTION}]


def tool(name: str, description: str, **types: str) -> dict[str, Any]:
    """Describe a tool as OpenAI does."""
    properties = {name: {"type": kind} for name, kind in types.items()}
    parameters = {"type": "object", "properties": properties, "required": list(types)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


MULTIPLY = tool("multiply", "Multiply two numbers.", a="integer", b="integer")
WEATHER = tool("get_weather", "Get the weather in a city.", city="string")


def send(server: OfflineServer, path: str, body: object) -> httpx.Response:
    """POST JSON."""
    # Without `verify`, certificates that nobody needs here would be loaded for each call.
    return httpx.post(server.base_url + path, json=body, timeout=30, verify=False)


def ask(server: OfflineServer, path: str, body: object) -> Any:
    """POST JSON and return the JSON of a successful answer."""
    response = send(server, path, body)
    assert response.status_code == 200, response.text
    return response.json()


def generated(server: OfflineServer, path: str, **fields: object) -> tuple[str, str, int]:
    """Ask one of OpenAI's two routes; returns the text, the finish reason and the tokens of it."""
    body = {"messages": USER, "prompt": PROMPT, "max_tokens": 30, **fields}
    found = ask(server, path, body)
    [choice] = found["choices"]
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    return text, choice["finish_reason"], found["usage"]["completion_tokens"]


def generate(server: OfflineServer, inputs: str = PROMPT, **parameters: object) -> Any:
    """Ask `/generate`."""
    return ask(server, "/generate", {"inputs": inputs, "parameters": parameters})


def chat(server: OfflineServer, messages: object = USER, **fields: object) -> Any:
    """Ask the chat route and return the choice."""
    return ask(server, "/v1/chat/completions", {"messages": messages, **fields})["choices"][0]


def data(server: OfflineServer, path: str, body: object) -> list[str]:
    """POST JSON and return the data of each event of the stream that answers."""
    response = send(server, path, body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream"
    events = response.text.split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data:") and not event.startswith("data: ") for event in events)
    return [event.removeprefix("data:") for event in events]


def events(server: OfflineServer, path: str, body: object) -> list[Any]:
    """POST JSON and return the events of the stream that answers, without `[DONE]`."""
    return [json.loads(each) for each in data(server, path, body) if each != "[DONE]"]


def error_of(server: OfflineServer, path: str, body: object, status: int = 422) -> str:
    """POST JSON and return the words of the error that answers."""
    response = send(server, path, body)
    assert response.status_code == status, response.text
    error = response.json()
    return f"{error['error_type']}: {error['error']}"
