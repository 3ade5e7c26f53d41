"""How throughput grows with servers: `python -m benchmarks.replicas`.

1, 2 and 4 servers, each a process of its own, work on 8 requests at a time for 50 ms each. What
comes beyond that waits in the server, or is refused (`--refuse`). Rows are sent by `abatch`; a
second line per count is of `aembed_documents`, with one text a request.

The growth says something of the client only while the machine has processor time left: fewer
`--slots` need less. The last lines say how much was used, and how busy the machine was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from statistics import median
from time import perf_counter, process_time

from .results import keep_job

SECONDS = 0.05
COUNTS = (1, 2, 4)

MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "vllm"}]}
MESSAGE = {"role": "assistant", "content": "The quick brown fox."}
CHAT = {"model": "m", "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}
VECTORS = {"model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5] * 16}]}
REFUSAL = {"error": {"message": "Too many requests"}}


def response(body: object, status: str = "200 OK") -> bytes:
    """Return a whole HTTP response."""
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
    return head.encode() + b"\r\n\r\n" + data


ANSWERS = {
    b"POST /v1/chat/completions": response(CHAT),
    b"POST /v1/embeddings": response(VECTORS),
    b"GET /v1/models": response(MODELS),
}
NOT_FOUND = response({"error": "not found"}, "404 Not Found")
BUSY = response(REFUSAL, "429 Too Many Requests")


async def serve(count: int, *, refuse: bool) -> None:
    """Serve until the standard input is closed, so many requests at a time; print the port."""
    slots = asyncio.Semaphore(count)

    async def answer(route: bytes) -> bytes:
        if not route.startswith(b"POST"):
            return ANSWERS.get(route, NOT_FOUND)
        if refuse and slots.locked():
            return BUSY
        async with slots:
            await asyncio.sleep(SECONDS)
        return ANSWERS[route]

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                method, path = head.split(b" ", 2)[:2]
                writer.write(await answer(method.upper() + b" " + path))
        except (EOFError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


def start(stack: ExitStack, options: argparse.Namespace) -> str:
    """Start a server; return its address."""
    more = ["--slots", str(options.slots), *["--refuse"] * options.refuse]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.replicas", "--serve", *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.enter_context(process)
    stack.callback(process.kill)
    return f"http://127.0.0.1:{process.stdout.readline().strip()}"


async def measure(urls: list[str], options: argparse.Namespace) -> tuple[float, float]:
    """Return rows per second of chats, and of embeddings."""
    from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings

    concurrency = (
        2 * options.slots * len(urls)
    )  # there is always one waiting for each that is served
    chat = EasyLLMChat(base_url=urls, max_concurrency=concurrency)
    embeddings = EasyLLMEmbeddings(base_url=urls, max_concurrency=concurrency, batch_size=1)
    texts = ["a text"] * options.rows * len(urls)
    rates = []
    for send in (chat.abatch, embeddings.aembed_documents):
        await send(texts[:concurrency])
        began = perf_counter()
        await send(texts)
        rates.append(len(texts) / (perf_counter() - began))
    return rates[0], rates[1]


def main() -> None:
    """Measure each count of servers some times; print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replicas", description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--refuse", action="store_true", help="servers answer 429 when full")
    parser.add_argument("--slots", type=int, default=8, help="requests at a time (8)")
    parser.add_argument("--rows", type=int, default=400, help="rows for each server (400)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all counts (5)")
    parser.add_argument("--keep", action="store_true", help="keep the medians in results.json")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.slots, refuse=options.refuse))
        return
    rates: dict[int, list[tuple[float, float]]] = {count: [] for count in COUNTS}
    began, used = perf_counter(), process_time()
    with ExitStack() as stack:
        urls = [start(stack, options) for _ in range(max(COUNTS))]
        for _ in range(options.rounds):
            for count in COUNTS:
                rates[count].append(asyncio.run(measure(urls[:count], options)))
    found: dict[str, dict[int, float]] = {}
    for index, name in enumerate(("abatch of chats", "aembed_documents")):
        middle = {count: median(pair[index] for pair in rates[count]) for count in COUNTS}
        found[name] = middle
        for count in COUNTS:
            growth = middle[count] / middle[1]
            print(f"{name}: {count} servers, {middle[count]:,.0f} rows a second, {growth:.2f} x")
    share = (process_time() - used) / (perf_counter() - began)
    print(f"the client used {share:.0%} of one core")
    if options.keep:
        keep_job("replicas, servers refuse" if options.refuse else "replicas", {"rates": found})
    print(f"load average: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}")


if __name__ == "__main__":
    main()
