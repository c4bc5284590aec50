"""What the package costs: a pipelined send beside the Rust client's, and messages a second through `async for`.

Run it on a quiet machine, with the wheel of a release build installed:

    python bench.py [--flood PROGRAM] [--messages N] [--uvloop] [--namesrv ADDR]

Without `--namesrv` a broker runs in a process of its own. `--flood` is `ferrocket-load` of `interop-tests`
(`cargo build --release --bin ferrocket-load`), which sends the same with the Rust client; each process's CPU time
is compared, since a broker that is the bottleneck hides what a client costs.
"""

import argparse
import asyncio
import contextlib
import resource
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from ferrocket import Client, Message

BODY = b"x" * 1024
# Sends under way at once.
WINDOW = 2000
QUEUES = 8
BROKER = """
import sys
from ferrocket.testing import Broker
with Broker() as broker:
    print(broker.namesrv_addr, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """A broker in a process of its own."""
    command = [sys.executable, "-c", BROKER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


async def send(client: Client, topic: str, messages: int) -> None:
    """Sends with so many under way."""
    async with client.producer(f"{topic}-producer") as producer:
        pending: deque[asyncio.Future[Any]] = deque()
        for _ in range(messages):
            if len(pending) >= WINDOW:
                await pending.popleft()
            pending.append(producer.enqueue(Message(topic, BODY)))
        for receipt in pending:
            await receipt


async def consume(client: Client, topic: str, messages: int) -> float:
    """Seconds from the first message to the last."""
    consumer = client.push_consumer(
        f"{topic}-consumer",
        {topic: "*"},
        consume_from_where="CONSUME_FROM_FIRST_OFFSET",
        pull_threshold_for_queue=10_000,
    )
    count, started = 0, 0.0
    async with consumer:
        async for delivery in consumer:
            if count == 0:
                started = time.perf_counter()
            with delivery:
                count += len(delivery.body) > 0
            if count == messages:
                return time.perf_counter() - started
    raise AssertionError("the consumer ended")


def report(what: str, messages: int, wall: float, cpu: float, more: str = "") -> None:
    """One line."""
    each = 1e6 / messages
    print(
        f"{what:28} {wall * each:6.2f} µs wall  {cpu * each:6.2f} µs CPU  {messages / wall:9,.0f} a second  {more}"
    )


def flood(program: str, addr: str, topic: str, messages: int) -> float:
    """The Rust client's CPU time for the same sends."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [program, "flood", addr, topic, str(messages), str(WINDOW), "30"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        started = 0.0
        for line in process.stdout:
            if line.startswith("READY"):
                started = time.perf_counter()
            if line.startswith("FLOODED"):
                wall = time.perf_counter() - started
                break
        process.stdin.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report("pipelined send, Rust", messages, wall, cpu)
    return cpu


async def measure(addr: str, messages: int, program: str | None) -> None:
    """Both bars, warmed up."""
    async with Client(addr) as client:
        await client.admin.create_topic("BenchWarm", QUEUES)
        await client.admin.create_topic("Bench", QUEUES)
        await send(client, "BenchWarm", messages // 10)
        started, cpu, thread = time.perf_counter(), time.process_time(), time.thread_time()
        await send(client, "Bench", messages)
        wall, cpu, thread = (
            time.perf_counter() - started,
            time.process_time() - cpu,
            time.thread_time() - thread,
        )
        report(
            "pipelined send, Python",
            messages,
            wall,
            cpu,
            f"{thread * 1e6 / messages:.2f} µs on Python's thread",
        )
        if program is not None:
            rust = flood(program, addr, "BenchWarm", messages)
            print(f"{'over the Rust client':28} {(cpu - rust) * 1e6 / messages:20.2f} µs CPU")
        await consume(client, "BenchWarm", messages // 10)
        cpu = time.process_time()
        wall = await consume(client, "Bench", messages)
        report("async for", messages, wall, time.process_time() - cpu)


def main() -> None:
    """Reads the arguments and measures."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--flood")
    arguments.add_argument("--messages", type=int, default=200_000)
    arguments.add_argument("--uvloop", action="store_true")
    arguments.add_argument("--namesrv")
    options = arguments.parse_args()
    factory = None
    if options.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with contextlib.ExitStack() as scope:
        addr = options.namesrv or scope.enter_context(broker())
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(measure(addr, options.messages, options.flood))


if __name__ == "__main__":
    main()
