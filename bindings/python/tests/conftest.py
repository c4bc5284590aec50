"""What the tests share: a broker, names that nobody else uses, and an event loop of each kind."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import ferrocket
import pytest
import uvloop
from ferrocket import Client
from ferrocket import sync as ferrocket_sync
from ferrocket.testing import Broker

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

# Longer than anything takes here; a test that waits so long has failed.
LIMIT = 120.0

_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    return f"T{next(_numbers)}"


@pytest.fixture
def group(name: str) -> str:
    return f"g-{name}"


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Runs a coroutine in a loop of its own; warnings of forgotten futures are failures."""

    def run_it(work: Coroutine[Any, Any, T]) -> T:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            loud: list[dict[str, Any]] = []
            runner.get_loop().set_exception_handler(lambda _, context: loud.append(context))
            result = runner.run(_limited(work))
        assert loud == []
        return result

    return run_it


async def _limited(work: Awaitable[T]) -> T:
    async with asyncio.timeout(LIMIT):
        return await work


@pytest.fixture
def addr(ferrocket_broker: Broker) -> str:
    return ferrocket_broker.namesrv_addr


@pytest.fixture
def client(addr: str) -> Callable[..., Client]:
    return lambda **settings: Client(addr, **settings)


@pytest.fixture
def topic(addr: str, name: str) -> str:
    """A topic whose route the NameServer knows, so that nobody has to look for it twice."""
    with ferrocket_sync.Client(addr) as cluster:
        create_topic(cluster, name)
    return name


def create_topic(cluster: ferrocket_sync.Client, topic: str) -> None:
    cluster.admin.create_topic(topic, 4)
    while True:
        try:
            cluster.fetch_queues(topic)
        except ferrocket.NoRouteError:
            time.sleep(0.01)
        else:
            return
