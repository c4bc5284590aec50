"""Beginnings and ends: closed handles, loops, forks, interpreters that go, log lines."""

import asyncio
import contextlib
import gc
import logging
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import ferrocket
import pytest
from conftest import LIMIT, Run
from ferrocket import Client, Message
from ferrocket import sync as ferrocket_sync
from ferrocket.testing import Broker

MakeClient = Callable[..., Client]
# Interpreters that come and go with a client in each; a thousand by hand, see docs/src/python.md.
STARTS = int(os.environ.get("FERROCKET_STARTS", "50"))


def python(program: str, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a program in an interpreter of its own."""
    command = [sys.executable, "-X", "dev", "-c", textwrap.dedent(program), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, **options)


def test_closed_handles_refuse(run: Run[None], client: MakeClient, name: str, group: str) -> None:
    async def work() -> None:
        cluster = client()
        producer = cluster.producer(group)
        with pytest.raises(ferrocket.ClosedError, match="not started"):
            await producer.send(Message(name, "b"))
        await producer.start()
        with pytest.raises(ferrocket.ClosedError, match="started before"):
            await producer.start()
        consumer = await cluster.push_consumer(group, {name: "*"}).start()
        await producer.close()
        await producer.close()
        with pytest.raises(ferrocket.ClosedError):
            await producer.send(Message(name, "b"))
        await consumer.close()
        assert [delivery async for delivery in consumer] == []
        await cluster.close()
        await cluster.close()
        for call in (
            lambda: cluster.fetch_queues(name),
            lambda: producer.send(Message(name, "b")),
            lambda: cluster.admin.topics(),
            lambda: cluster.producer("other").start(),
        ):
            with pytest.raises(ferrocket.ClosedError):
                await call()

    run(work())


def test_a_start_that_was_given_up_leaves_nothing(
    run: Run[None], client: MakeClient, name: str, group: str
) -> None:
    async def work() -> None:
        async with client() as cluster:
            for part in (cluster.producer(group), cluster.push_consumer(group, {name: "*"})):
                starting = asyncio.ensure_future(part.start())
                await asyncio.sleep(0)
                starting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await starting
                while part._state == "new":
                    # The group is taken until the first one has ended.
                    with contextlib.suppress(ferrocket.ConfigError):
                        await part.start()
                await part.close()

    run(work())


def test_the_client_ends_what_it_started(run: Run[None], client: MakeClient, name: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster:
            push = await cluster.push_consumer(f"{group}-a", {name: "*"}).start()
            orderly = await cluster.orderly_consumer(f"{group}-b", {name: "*"}).start()
            lite = await cluster.lite_pull_consumer(f"{group}-c", {name: "*"}).start()

            async def drain(consumer: Any) -> int:
                return len([one async for one in consumer])

            drains = [asyncio.create_task(drain(consumer)) for consumer in (push, orderly, lite)]
            watching = asyncio.create_task(drain(cluster.events()))
            checking = await cluster.transaction_producer(
                f"{group}-d", lambda _: ferrocket.LocalTransactionState.COMMIT
            ).start()
            await asyncio.sleep(0.01)
        assert await asyncio.gather(*drains) == [0, 0, 0]
        await watching
        await checking.close()

    run(work())


def test_a_close_that_was_given_up_goes_on(run: Run[None], addr: str, topic: str, group: str) -> None:
    async def work() -> None:
        cluster = Client(addr)
        async with cluster.producer(group) as producer:
            await producer.send(Message(topic, "b"))
        settings: Any = {"consume_from_where": "CONSUME_FROM_FIRST_OFFSET"}
        consumer = await cluster.push_consumer(group, {topic: "*"}, **settings).start()
        delivery = await anext(aiter(consumer))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cluster.close(), 0.01)
        assert cluster._core.is_closed
        delivery.ack()

    run(work())


def test_a_client_belongs_to_one_loop(client: MakeClient, name: str) -> None:
    cluster = client()

    async def use() -> None:
        with pytest.raises(ferrocket.NoRouteError):
            await cluster.fetch_queues(name)

    async def use_again() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await cluster.fetch_queues(name)
        with pytest.raises(RuntimeError, match="another event loop"):
            await cluster.close()

    async def close() -> None:
        await use()
        await cluster.close()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(use())
        second.run(use_again())
        first.run(close())


def test_a_forgotten_close_is_told_of(client: MakeClient, group: str) -> None:
    async def forget() -> None:
        async with client() as closed:
            # The client ends what it started.
            _producer = await closed.producer(group).start()
        cluster = client()
        with pytest.raises(ferrocket.NoRouteError):
            await cluster.fetch_queues("no-such-topic")

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        asyncio.run(forget())
        gc.collect()
    assert [str(one.message) for one in told if one.category is ResourceWarning] == [
        "a Client was not closed"
    ]


@pytest.mark.filterwarnings("ignore:.*was not closed:ResourceWarning")
def test_a_forgotten_wait_ends_with_the_client(addr: str, name: str, group: str) -> None:
    def descriptors() -> int:
        links = []
        for descriptor in pathlib.Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.append(str(descriptor.readlink()))
        return links.count("anon_inode:[eventfd]")

    async def forget() -> None:
        consumer = await Client(addr).orderly_consumer(group, {name: "*"}).start()
        waiting = asyncio.ensure_future(anext(aiter(consumer)))
        await asyncio.wait([waiting], timeout=0)

    before = descriptors()
    asyncio.run(forget())
    gc.collect()
    until = time.monotonic() + LIMIT
    # What waits in the core keeps the descriptor that it would be heard of by.
    while descriptors() > before:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_forked_child_is_refused(addr: str, name: str, group: str) -> None:
    program = """
        import os, sys, ferrocket, ferrocket.sync
        cluster = ferrocket.sync.Client(sys.argv[1])
        producer = cluster.producer(sys.argv[3]).start()
        producer.send(ferrocket.Message(sys.argv[2], "parent"))
        child = os.fork()
        if child == 0:
            for call in (
                lambda: producer.send(ferrocket.Message(sys.argv[2], "child")),
                lambda: ferrocket.sync.Client(sys.argv[1]),
                lambda: cluster.close(),
            ):
                try:
                    call()
                except ferrocket.ClosedError as error:
                    print("refused:", "forked from process" in str(error), flush=True)
            del producer, cluster
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        producer.send(ferrocket.Message(sys.argv[2], "parent again"))
        producer.close()
        cluster.close()
        print("parent done")
    """
    ended = python(program, addr, name, group)
    assert (ended.returncode, ended.stdout.splitlines()) == (0, ["refused: True"] * 3 + ["parent done"]), (
        ended
    )


def test_a_forked_child_may_begin(addr: str, name: str, group: str) -> None:
    program = """
        import os, sys, ferrocket, ferrocket.sync
        child = os.fork()
        if child != 0:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        with ferrocket.sync.Client(sys.argv[1]) as cluster, cluster.producer(sys.argv[3]) as producer:
            print(producer.send(ferrocket.Message(sys.argv[2], "child")).is_ok)
    """
    ended = python(program, addr, name, group)
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended


LIVE = """
    import asyncio, sys, ferrocket

    async def main():
        cluster = ferrocket.Client(sys.argv[1])
        producer = await cluster.producer(sys.argv[3]).start()
        consumer = await cluster.push_consumer(sys.argv[3], {sys.argv[2]: "*"}).start()
        pending = [producer.enqueue(ferrocket.Message(sys.argv[2], b"x")) for _ in range(100)]
        taking = asyncio.ensure_future(anext(aiter(consumer)))
        await pending[0]
        kept.extend([cluster, producer, consumer])

    kept = []
    asyncio.run(main())
    print("bye", flush=True)
"""
LIVE_SYNC = """
    import sys, threading, ferrocket, ferrocket.sync
    cluster = ferrocket.sync.Client(sys.argv[1])
    producer = cluster.producer(sys.argv[3]).start()
    consumer = cluster.push_consumer(sys.argv[3], {sys.argv[2]: "*"}).start()
    pending = [producer.enqueue(ferrocket.Message(sys.argv[2], b"x")) for _ in range(100)]
    threading.Thread(target=lambda: [None for _ in consumer], daemon=True).start()
    pending[0].result()
    print("bye", flush=True)
"""


def test_interpreters_come_and_go(addr: str, name: str, group: str) -> None:
    """Each ends with a client, a producer and a consumer at work, as a program does that closes nothing."""
    slowest = 0.0
    for number in range(STARTS):
        started = time.monotonic()
        program = LIVE_SYNC if number % 2 else LIVE
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            textwrap.dedent(program),
            addr,
            name,
            f"{group}-{number % 8}",
        ]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
        assert (ended.returncode, ended.stdout) == (0, "bye\n"), (number, ended)
        slowest = max(slowest, time.monotonic() - started)
    print(f"{STARTS} starts and exits, the slowest {slowest:.1f} s")


def test_a_client_that_cannot_end_leaves_others_time(addr: str, topic: str, group: str) -> None:
    program = """
        import sys, ferrocket.sync
        first, second = (ferrocket.sync.Client(sys.argv[1], instance_name=name) for name in "ab")
        settings = {"consume_from_where": "CONSUME_FROM_FIRST_OFFSET"}
        holding = first.push_consumer(f"{sys.argv[3]}-held", {sys.argv[2]: "*"}, **settings).start()
        held = next(iter(holding))
        orderly = second.orderly_consumer(sys.argv[3], {sys.argv[2]: "*"}, **settings).start()
        next(iter(orderly)).success()
    """
    with ferrocket_sync.Client(addr) as cluster, cluster.producer(group) as producer:
        queue = producer.send(Message(topic, "b")).message_queue
        ended = python(program, addr, topic, group)
        assert ended.returncode == 0, ended
        ended_at = time.monotonic()
        with cluster.orderly_consumer(group, {topic: "*"}) as consumer:
            producer.send_to(Message(topic, "b"), queue)
            next(iter(consumer)).success()
        # The queues were given back, not kept until their locks expire, a minute later.
        assert time.monotonic() - ended_at < 50


@pytest.mark.parametrize("wait", ["for delivery in consumer: pass", "consumer.run(print)"])
def test_ctrl_c_ends_a_wait(addr: str, name: str, group: str, wait: str) -> None:
    program = """
        import signal, sys, ferrocket.sync
        # Jobs in the background are started with the signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with ferrocket.sync.Client(sys.argv[1]) as cluster:
            with cluster.push_consumer(sys.argv[3], {sys.argv[2]: "*"}) as consumer:
                try:
                    print("waiting", flush=True)
                    WAIT
                except KeyboardInterrupt:
                    print("interrupted")
    """
    command = [sys.executable, "-c", textwrap.dedent(program).replace("WAIT", wait), addr, name, group]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "waiting\n"
        waiting.send_signal(signal.SIGINT)
        assert waiting.communicate(timeout=LIMIT)[0] == "interrupted\n"
        assert waiting.returncode == 0


def test_log_lines_become_records(caplog: pytest.LogCaptureFixture, group: str) -> None:
    core = logging.getLogger("ferrocket.core")
    with caplog.at_level(logging.DEBUG, "ferrocket.core"), Broker() as broker:
        ferrocket.set_log_level(logging.DEBUG)
        with ferrocket_sync.Client(broker.namesrv_addr) as cluster, cluster.producer(group) as producer:
            producer.send(Message("T", "b"))
        until = time.monotonic() + LIMIT
        while not caplog.records and time.monotonic() < until:
            time.sleep(0.01)
        ferrocket.set_log_level(core.getEffectiveLevel())
    assert {record.name for record in caplog.records} == {"ferrocket.core"}


def test_many_threads_share_a_client(addr: str, name: str, group: str) -> None:
    with ferrocket_sync.Client(addr) as cluster, cluster.producer(group) as producer:
        results: list[bool] = []

        def send() -> None:
            results.extend(producer.send(Message(name, "b")).is_ok for _ in range(20))

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [True] * 160
