"""What a client starts, as far as nobody waits for it: `ferrocket` and `ferrocket.sync` add the waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from ferrocket import _core
from ferrocket._core import Delivery, MessageExt, MessageQueue, OrderlyBatch
from ferrocket._errors import ClosedError

Owner = TypeVar("Owner")
Core = TypeVar("Core", bound="_core._Running")
Consumer = TypeVar("Consumer", bound="_core._Consumer")
Push = TypeVar("Push", bound="_core._PushConsumer[Any]")
Taken = TypeVar("Taken", Delivery, OrderlyBatch, MessageExt)


class Part(Generic[Owner, Core]):
    """A client's producer or consumer. Each start opens a part of the core."""

    def __init__(self, client: Owner, opened: Callable[[], _core.Op[Core]]) -> None:
        self._client = client
        self._open: Callable[[], _core.Op[Core]] = opened
        self._core: Core | None = None

    @property
    def _running(self) -> Core:
        if self._core is None:
            raise ClosedError(
                f"this {type(self).__name__} is not started: use it as a context manager, or start()"
            )
        return self._core

    @property
    def group(self) -> str:
        """The group."""
        return self._running.group


class Source(Part[Owner, Consumer], Generic[Owner, Consumer, Taken]):
    """A consumer whose core hands out batches."""

    def __init__(self, client: Owner, opened: Callable[[], _core.Op[Consumer]]) -> None:
        super().__init__(client, opened)
        self._buffer: deque[Taken] = deque()

    def _next_batch(self) -> _core.Op[list[Taken]]:
        raise NotImplementedError

    def _next_few(self) -> _core.Op[list[Taken]]:
        """For who takes them one by one."""
        return self._next_batch()

    @property
    def queues(self) -> list[MessageQueue]:
        """The queues that this consumer has now."""
        return self._running.queues()

    def unsubscribe(self, topic: str, /) -> None:
        """Gives a topic up."""
        self._running.unsubscribe(topic)


class Pushed(Source[Owner, Push, Taken]):
    """A consumer that gets messages without asking."""

    def _next_batch(self) -> _core.Op[list[Taken]]:
        return self._running.take()

    def suspend(self) -> None:
        """Stops pulling; what is in memory still comes."""
        self._running.suspend()

    def resume(self) -> None:
        """Goes on pulling."""
        self._running.resume()


class Polled(Source[Owner, _core.LitePullConsumer, MessageExt]):
    """A consumer that asks."""

    def _next_batch(self) -> _core.Op[list[MessageExt]]:
        return self._running.poll(None)

    def _next_few(self) -> _core.Op[list[MessageExt]]:
        # One: what the core has handed out is committed.
        return self._running.next()

    def pause(self, queues: Iterable[MessageQueue], /) -> None:
        """Takes nothing from these queues until `resume`."""
        self._running.pause(list(queues))

    def resume(self, queues: Iterable[MessageQueue], /) -> None:
        """Takes from these queues again."""
        self._running.resume(list(queues))
