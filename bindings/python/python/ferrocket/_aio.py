"""The asyncio face: `Client` and what it starts.

Everything is a context manager (`async with`), consumers are asynchronous iterators. Each method makes an
operation of the core and awaits it through the client's `Bridge`; the synchronous twin in `ferrocket.sync` waits
for the same operations.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack
from weakref import WeakSet

from ferrocket import _core, _logs, _values
from ferrocket._bridge import Bridge
from ferrocket._core import (
    Delivery,
    Message,
    MessageExt,
    MessageQueue,
    OrderlyBatch,
    SendResult,
    TransactionSendResult,
)
from ferrocket._errors import ClosedError, ConfigError, FerrocketError
from ferrocket._parts import Consumer, Core, Part, Polled, Pushed, Source, Taken
from ferrocket._settings import (
    ClientSettings,
    LitePullConsumerSettings,
    ProducerSettings,
    PushConsumerSettings,
    TransactionProducerSettings,
)
from ferrocket._values import (
    ConsumeOffset,
    ConsumerConnection,
    Event,
    LocalTransactionState,
    MessageSelector,
    SendTerms,
    Subscriptions,
    TopicOffset,
    TopicRoute,
    milliseconds,
    pairs,
)

T = TypeVar("T")

_log = logging.getLogger("ferrocket")

Handler = Callable[[Taken], Awaitable[None] | None]
"""A function, asynchronous or not, that is given what a consumer takes."""
Check = Callable[[MessageExt], Awaitable[LocalTransactionState] | LocalTransactionState]
"""Answers a broker that asks what became of a transaction."""
Local = Callable[["_core.Transaction"], Awaitable[LocalTransactionState] | LocalTransactionState]
"""The local work of a transaction."""


async def _answer(given: Awaitable[T] | T) -> T:
    return await given if isinstance(given, Awaitable) else given


class _Scope:
    """Something with a beginning and an end."""

    _state = "new"

    async def start(self) -> Self:
        """Begins; `async with` does it."""
        if self._state != "new":
            raise ClosedError(f"this {type(self).__name__} was started before")
        await self._start()
        self._state = "running"
        return self

    async def close(self) -> None:
        """Ends in order; further calls have no effect."""
        if self._state == "running":
            self._state = "closed"
            await self._close()
        self._state = "closed"

    async def _start(self) -> None:
        raise NotImplementedError

    async def _close(self) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        if self._state == "running" and not _core.is_stopped():
            warnings.warn(
                f"a {type(self).__name__} was not closed", ResourceWarning, stacklevel=2, source=self
            )


class Client(_Scope):
    """The connection to a cluster, shared by all producers and consumers of a program.

    It belongs to the event loop in which it is first used. `close()` ends everything it started.
    """

    def __init__(self, namesrv_addr: str = "", /, **settings: Unpack[ClientSettings]) -> None:
        """The NameServers are `host:port;host:port`; with none, `$NAMESRV_ADDR` says them."""
        self._core = _core.Client(namesrv_addr, pairs(settings))
        self._bridge: Bridge | None = None
        self._sources: WeakSet[_Source[Any, Any]] = WeakSet()
        self._producers: WeakSet[Producer] = WeakSet()
        self._state = "running"
        _logs.start()

    async def start(self) -> Self:
        """A client connects when it has to; nothing is to be started."""
        self._in_loop()
        return self

    def _run(self, op: _core.Op[T]) -> asyncio.Future[T]:
        return self._in_loop().run(op)

    def _in_loop(self) -> Bridge:
        """What brings answers into the running event loop."""
        bridge = self._bridge
        if bridge is None:
            if self._state == "closed":
                raise ClosedError("the client is shut down")
            bridge = self._bridge = Bridge(asyncio.get_running_loop())
        elif bridge.loop is not asyncio.get_running_loop():
            raise RuntimeError("this client belongs to another event loop; make one in each")
        return bridge

    async def close(self) -> None:
        """Ends everything this client started; further calls have no effect."""
        if self._state == "closed":
            return
        bridge = self._in_loop()
        self._state = "closed"
        try:
            # What lies in their buffers would be waited for.
            await asyncio.gather(*(source.close() for source in self._sources))
            # What is in their lines would be refused.
            await asyncio.gather(*(producer.close() for producer in self._producers))
            await bridge.run(self._core.shutdown())
        finally:
            if not self._core.is_closed:
                # It ends also when nobody waited for its consumers.
                self._core.shutdown().start(bridge.port, 0)
            self._bridge = None
            bridge.close()

    @contextmanager
    def _until_closed(self) -> Iterator[None]:
        """For what the client's end ends: that may be known here before the last answer, which says so, too."""
        try:
            yield
        except ClosedError:
            if self._state != "closed":
                raise

    @property
    def client_id(self) -> str:
        """How brokers know this client."""
        return self._core.client_id

    def producer(self, group: str, /, **settings: Unpack[ProducerSettings]) -> Producer:
        """A producer of this group, to be started by `async with`."""
        return Producer(self, partial(self._core.producer, group, pairs(settings)))

    def transaction_producer(
        self, group: str, check: Check, /, **settings: Unpack[TransactionProducerSettings]
    ) -> TransactionProducer:
        """A producer of transactional messages. Brokers ask `check` about those whose outcome they missed."""
        opened = partial(self._core.transaction_producer, group, pairs(settings))
        return TransactionProducer(self, opened, check)

    def push_consumer(
        self, group: str, subscriptions: Subscriptions, /, **settings: Unpack[PushConsumerSettings]
    ) -> PushConsumer:
        """A consumer that gets messages as they come, in any order."""
        wanted = _values.subscribed(subscriptions)
        return PushConsumer(self, partial(self._core.push_consumer, group, wanted, pairs(settings)))

    def orderly_consumer(
        self, group: str, subscriptions: Subscriptions, /, **settings: Unpack[PushConsumerSettings]
    ) -> OrderlyConsumer:
        """A consumer that gets each queue's messages in order."""
        wanted = _values.subscribed(subscriptions)
        return OrderlyConsumer(self, partial(self._core.orderly_consumer, group, wanted, pairs(settings)))

    def lite_pull_consumer(
        self,
        group: str,
        subscriptions: Subscriptions | None = None,
        /,
        **settings: Unpack[LitePullConsumerSettings],
    ) -> LitePullConsumer:
        """A consumer that is polled. With no subscriptions it is given queues by `assign`."""
        wanted = _values.subscribed(subscriptions or {})
        return LitePullConsumer(self, partial(self._core.lite_pull_consumer, group, wanted, pairs(settings)))

    @property
    def admin(self) -> Admin:
        """What an application may ask and change of its cluster."""
        return Admin(self)

    async def fetch_queues(self, topic: str, /) -> list[MessageQueue]:
        """The queues that messages of a topic can be sent to."""
        return await self._run(self._core.fetch_queues(topic))

    def events(self) -> AsyncIterator[Event]:
        """What happens inside this client from now on: rebalances, routes, connections, slow handlers."""
        watcher = self._core.events()

        async def told() -> AsyncIterator[Event]:
            with self._until_closed():
                while events := await self._run(watcher.next()):
                    for event in _values.events(events):
                        yield event

        return told()


class _Part(_Scope, Part["Client", Core]):
    async def _start(self) -> None:
        opening = self._client._run(self._open())
        try:
            self._core = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._undo)
            raise

    def _undo(self, opening: asyncio.Future[Core]) -> None:
        """Ends what nobody waited for."""
        if not (opening.cancelled() or opening.exception() or self._client._core.is_closed):
            self._client._run(opening.result().shutdown())

    async def _close(self) -> None:
        if not self._client._core.is_closed:
            await self._client._run(self._running.shutdown())

    def __del__(self) -> None:
        # A client ends what it started.
        if self._state == "running" and not self._client._core.is_closed:
            super().__del__()


class Producer(_Part[_core.Producer]):
    """Sends messages in the name of a producer group."""

    async def _start(self) -> None:
        await super()._start()
        self._client._producers.add(self)

    async def send(self, message: Message, /, **terms: Unpack[SendTerms]) -> SendResult:
        """Sends one message and waits for the broker's receipt; after a failure another broker is tried."""
        return await self._client._run(self._running.send(message, terms))

    def enqueue(self, message: Message, /, **terms: Unpack[SendTerms]) -> asyncio.Future[SendResult]:
        """Puts a message in line and returns at once; the future is the receipt.

        The cheapest way to send many: messages leave in the order of calls. Raises `FlowControlError` when too
        many wait for their receipts.
        """
        return self._put(self._running.enqueue, message, terms)

    def enqueue_batch(
        self, messages: Iterable[Message], /, **terms: Unpack[SendTerms]
    ) -> asyncio.Future[SendResult]:
        """Puts messages of one topic in line as one request, behind those of all earlier calls."""
        return self._put(self._running.enqueue_batch, list(messages), terms)

    def _put(
        self, enqueue: Callable[[T, SendTerms, _core.Port, int], None], load: T, terms: SendTerms
    ) -> asyncio.Future[SendResult]:
        bridge = self._client._in_loop()
        future, token = bridge.slot()
        try:
            enqueue(load, terms, bridge.port, token)
        except BaseException:
            bridge.forget(token)
            raise
        return future

    async def send_oneway(self, message: Message, /, **terms: Unpack[SendTerms]) -> None:
        """Sends a message and waits for no receipt. It may get lost."""
        await self._client._run(self._running.send_oneway(message, terms))

    async def send_batch(self, messages: Iterable[Message], /, **terms: Unpack[SendTerms]) -> SendResult:
        """Sends messages of one topic as one request: stored next to each other, all or none."""
        return await self._client._run(self._running.send_batch(list(messages), terms))

    async def send_ordered(
        self, message: Message, key: str, /, *, timeout: float | timedelta | None = None
    ) -> SendResult:
        """Sends a message to the queue of all messages with this key, so that they keep their order."""
        return await self.send(message, ordered_by=key, timeout=timeout)

    async def send_to(
        self, message: Message, queue: MessageQueue, /, *, timeout: float | timedelta | None = None
    ) -> SendResult:
        """Sends a message to this queue. Tried once."""
        return await self.send(message, queue=queue, timeout=timeout)

    async def request(self, message: Message, /, timeout: float = 3.0) -> MessageExt:
        """Sends a message and waits for the message that a consumer answers with (`MessageExt.reply`)."""
        return await self._client._run(self._running.request(message, timeout))

    async def recall(self, topic: str, recall_handle: str, /) -> str:
        """Takes a delayed message back; answers its id. Brokers from 5.3 on."""
        return await self._client._run(self._running.recall(topic, recall_handle))

    async def fetch_queues(self, topic: str, /) -> list[MessageQueue]:
        """The queues that messages of a topic can be sent to."""
        return await self._client.fetch_queues(topic)


class TransactionProducer(_Part[_core.TransactionProducer]):
    """Sends messages that consumers get only if a local transaction was committed."""

    def __init__(
        self, client: Client, opened: Callable[[], _core.Op[_core.TransactionProducer]], check: Check
    ) -> None:
        if not callable(check):
            raise TypeError("check must be callable")
        super().__init__(client, opened)
        self._check = check
        self._checking: asyncio.Task[None] | None = None

    async def _start(self) -> None:
        await super()._start()
        self._checking = asyncio.create_task(self._answer_checks(self._running))

    async def _close(self) -> None:
        await super()._close()
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])

    async def _answer_checks(self, core: _core.TransactionProducer) -> None:
        async with asyncio.TaskGroup() as answering:
            with self._client._until_closed():
                while checks := await self._client._run(core.checks()):
                    for check in checks:
                        answering.create_task(self._answer_check(check))

    async def _answer_check(self, check: _core.Check) -> None:
        try:
            check.answer(LocalTransactionState(await _answer(self._check(check.message))))
        except Exception as error:
            _log.exception(
                "the check of transaction %s failed; the broker will ask again", check.message.msg_id
            )
            check.fail(repr(error))

    async def send_in_transaction(self, message: Message, local: Local, /) -> TransactionSendResult:
        """Sends a half message, runs `local`, and tells the broker what became of it.

        An exception of `local` is told as `UNKNOWN`: the broker will ask the check. It stands in the result's
        `failure`.
        """
        transaction = await self._client._run(self._running.begin(message))
        if not transaction.is_open:
            return await self._client._run(transaction.end("ROLLBACK_MESSAGE", None))
        state, failure = LocalTransactionState.UNKNOWN, None
        try:
            state = LocalTransactionState(await _answer(local(transaction)))
        except Exception as error:
            _log.exception("the local work of transaction %s failed", transaction.transaction_id)
            failure = repr(error)
        return await self._client._run(transaction.end(state.value, failure))


class _Source(_Part[Consumer], Source["Client", Consumer, Taken]):
    """A consumer whose core hands out batches. What a cancelled wait has brought stays for the next one."""

    _keeps = False
    """Whether what comes while it closes is kept: dropped, it would not come again."""

    def __init__(self, client: Client, opened: Callable[[], _core.Op[Consumer]]) -> None:
        super().__init__(client, opened)
        self._taking: asyncio.Future[list[Taken]] | None = None

    async def _start(self) -> None:
        await super()._start()
        self._client._sources.add(self)

    async def _close(self) -> None:
        # What nobody looked at goes back.
        self._buffer.clear()
        await super()._close()

    def _take(self, op: _core.Op[list[Taken]]) -> asyncio.Future[list[Taken]]:
        taking = self._taking = self._client._run(op)
        taking.add_done_callback(self._took)
        return taking

    def _took(self, taking: asyncio.Future[list[Taken]]) -> None:
        """Once for each batch: by whoever comes first, a waiter or the loop."""
        if self._taking is not taking:
            return
        self._taking = None
        kept = self._keeps or self._state != "closed"
        if kept and not taking.cancelled() and taking.exception() is None:
            self._buffer.extend(taking.result())

    async def _wait(self, ask: Callable[[], _core.Op[list[Taken]]]) -> bool:
        """Whether there is more; then it is in the buffer, unless somebody else has taken it."""
        with self._client._until_closed():
            begun = self._taking
            taking = begun or self._take(ask())
            if not taking.done():
                await asyncio.shield(taking)
            # A batch may have come whose callback has not been called yet.
            self._took(taking)
            # What was begun before may be a poll: none is no end then.
            return bool(taking.result() or begun)
        return False

    async def __aiter__(self) -> AsyncIterator[Taken]:
        buffer = self._buffer
        self._running  # noqa: B018
        while True:
            while buffer:
                yield buffer.popleft()
            if self._state == "closed" or not await self._wait(self._next_few):
                return

    async def batches(self) -> AsyncIterator[Sequence[Taken]]:
        """The same in lists, as they came."""
        buffer = self._buffer
        self._running  # noqa: B018
        while True:
            if buffer:
                batch = list(buffer)
                buffer.clear()
                yield batch
            elif self._state == "closed" or not await self._wait(self._next_batch):
                return

    async def subscribe(self, topic: str, wanted: str | MessageSelector = "*", /) -> None:
        """Adds a topic, or changes what is wanted of it."""
        await self._client._run(self._running.subscribe(topic, *_values.selector(wanted)))


class PushConsumer(Pushed["Client", _core.PushConsumer, Delivery], _Source[_core.PushConsumer, Delivery]):
    """Gets messages as they come: `async for delivery in consumer`, `with delivery: …`.

    Leaving the `with` acknowledges; an exception, or a delivery that is forgotten, brings the message again later.
    """

    async def run(self, handler: Handler[Delivery], /, *, concurrency: int = 20) -> None:
        """Calls `handler` with every delivery, so many at once, until the consumer is closed.

        Its return acknowledges; its exception is logged, and the message comes again later.
        """
        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(self._work(handler))

    async def _work(self, handler: Handler[Delivery]) -> None:
        async for delivery in self:
            try:
                with delivery:
                    await _answer(handler(delivery))
            except Exception:
                _log.exception("the handler failed with message %s; it comes again later", delivery.msg_id)


class OrderlyConsumer(
    Pushed["Client", _core.OrderlyConsumer, OrderlyBatch], _Source[_core.OrderlyConsumer, OrderlyBatch]
):
    """Gets each queue's messages in order: `async for batch in consumer`, `with batch: for message in batch: …`.

    The next batch of a queue comes when this one is answered. Leaving the `with` is success; an exception, or a
    batch that is forgotten, brings it again after `suspend_current_queue_time_millis`.
    """

    async def run(self, handler: Handler[OrderlyBatch], /) -> None:
        """Calls `handler` with every batch until the consumer is closed; queues do not wait for each other.

        Its return is success; its exception is logged, and the batch comes again after a pause.
        """
        async with asyncio.TaskGroup() as working:
            async for batch in self:
                working.create_task(self._work(handler, batch))

    async def _work(self, handler: Handler[OrderlyBatch], batch: OrderlyBatch) -> None:
        try:
            with batch:
                await _answer(handler(batch))
        except Exception:
            _log.exception("the handler failed with a batch of %s; it comes again", batch.message_queue)


class LitePullConsumer(Polled["Client"], _Source[_core.LitePullConsumer, MessageExt]):
    """Is polled: `await consumer.poll()`, or `async for message in consumer`.

    With `auto_commit` (the default) a poll, or asking for the next message, says that everything before it is done.
    """

    _keeps = True

    async def poll(self, timeout: float = 5.0) -> list[MessageExt]:
        """The next messages, as many as there are up to `pull_batch_size`; none when the time in seconds is up."""
        clock = asyncio.get_running_loop().time
        until, left = clock() + timeout, timeout
        while not self._buffer:
            begun = self._taking
            taking = begun or self._take(self._running.poll(left))
            if not taking.done():
                # The core keeps to the time of what it is asked now.
                await asyncio.wait([taking], timeout=left if begun else None)
            if not taking.done():
                break
            self._took(taking)
            taking.result()
            if not begun:
                break
            # Whoever had begun it may have got what came, or had less time.
            left = max(until - clock(), 0.0)
        messages = list(self._buffer)
        self._buffer.clear()
        return messages

    async def assign(self, queues: Iterable[MessageQueue], /) -> None:
        """Takes exactly these queues, in place of subscriptions."""
        await self._client._run(self._running.assign(list(queues)))

    @contextmanager
    def _without(self, queue: MessageQueue) -> Iterator[None]:
        """For a seek, after which nothing from before it comes; one that fails changes nothing."""
        before = list(self._buffer)
        self._buffer.clear()
        self._buffer.extend(message for message in before if message.message_queue != queue)
        try:
            yield
        except BaseException:
            self._buffer.extendleft(message for message in reversed(before) if message.message_queue == queue)
            raise

    async def seek(self, queue: MessageQueue, offset: int, /) -> None:
        """Goes on with this offset of a queue."""
        with self._without(queue):
            await self._client._run(self._running.seek(queue, offset))

    async def seek_to_begin(self, queue: MessageQueue, /) -> None:
        """Goes on with the first message of a queue."""
        with self._without(queue):
            await self._client._run(self._running.seek_to_begin(queue))

    async def seek_to_end(self, queue: MessageQueue, /) -> None:
        """Goes on with what comes into a queue from now on."""
        with self._without(queue):
            await self._client._run(self._running.seek_to_end(queue))

    async def _give_back(self) -> None:
        """Has the core go on with what a cancelled wait has brought, which it would commit."""
        firsts: dict[MessageQueue, int] = {}
        for message in self._buffer:
            firsts.setdefault(message.message_queue, message.queue_offset)
        for queue, offset in firsts.items():
            # Nothing is committed of a queue that went to another consumer.
            with suppress(ConfigError):
                await self.seek(queue, offset)

    async def _close(self) -> None:
        self._running.end_waits()
        if (taking := self._taking) is not None:
            await asyncio.wait([taking])
            self._took(taking)
        try:
            await self._give_back()
        except FerrocketError:
            _log.exception("messages that came last may count as consumed")
        await super()._close()

    async def commit(self) -> None:
        """Stores that everything polled so far is done."""
        await self._give_back()
        await self._client._run(self._running.commit())

    async def commit_offsets(self, offsets: dict[MessageQueue, int], /) -> None:
        """Stores these offsets."""
        await self._client._run(self._running.commit_offsets(list(offsets.items())))

    async def committed(self, queue: MessageQueue, /) -> int | None:
        """The offset stored for a queue."""
        return await self._client._run(self._running.committed(queue))

    async def offset_for_timestamp(self, queue: MessageQueue, time: datetime | float, /) -> int:
        """The offset of the first message stored at this time or later."""
        return await self._client._run(self._running.offset_for_timestamp(queue, milliseconds(time)))

    async def fetch_queues(self, topic: str, /) -> list[MessageQueue]:
        """The queues that messages of a topic can be read from."""
        return await self._client._run(self._running.fetch_queues(topic))


class Admin:
    """What an application may ask and change of its cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._core = client._core

    async def create_topic(self, topic: str, /, queues: int = 8, *, perm: int = 6) -> None:
        """Creates a topic on all brokers, or changes it."""
        await self._client._run(self._core.create_topic(topic, queues, perm))

    async def delete_topic(self, topic: str, /) -> None:
        """Deletes a topic on all brokers and NameServers."""
        await self._client._run(self._core.delete_topic(topic))

    async def create_group(self, group: str, /, *, retry_max_times: int = 16) -> None:
        """Creates a consumer group on all brokers, or changes it."""
        await self._client._run(self._core.create_group(group, retry_max_times))

    async def delete_group(self, group: str, /) -> None:
        """Deletes a consumer group on all brokers."""
        await self._client._run(self._core.delete_group(group))

    async def topics(self) -> set[str]:
        """All topics that the NameServer knows."""
        return set(await self._client._run(self._core.topics()))

    async def topic_route(self, topic: str, /) -> TopicRoute:
        """Where a topic lives."""
        return _values.topic_route(*await self._client._run(self._core.topic_route(topic)))

    async def topic_stats(self, topic: str, /) -> dict[MessageQueue, TopicOffset]:
        """What each queue of a topic holds."""
        stats = await self._client._run(self._core.topic_stats(topic))
        return {queue: TopicOffset(*offsets) for queue, *offsets in stats}

    async def consume_stats(self, group: str, topic: str, /) -> dict[MessageQueue, ConsumeOffset]:
        """How far a group is in each queue of a topic."""
        stats = await self._client._run(self._core.consume_stats(group, topic))
        return {queue: ConsumeOffset(*offsets) for queue, *offsets in stats}

    async def consumer_connection(self, group: str, topic: str, /) -> ConsumerConnection | None:
        """Who consumes in a group, as a broker of the topic sees it."""
        told = await self._client._run(self._core.consumer_connection(group, topic))
        return None if told is None else _values.consumer_connection(*told)

    async def view_message(self, topic: str, offset_msg_id: str, /) -> MessageExt:
        """The message with this offset message id."""
        return await self._client._run(self._core.view_message(topic, offset_msg_id))

    async def query_message(
        self,
        topic: str,
        key: str,
        /,
        *,
        max: int = 32,
        begin: datetime | float = 0,
        end: datetime | float = _values.TIME_MAX,
    ) -> list[MessageExt]:
        """Messages of a topic with this key, stored between the two times; the oldest first."""
        span = milliseconds(begin), milliseconds(end)
        return await self._client._run(self._core.query_message(topic, key, max, *span))

    async def query_message_by_unique_key(self, topic: str, key: str, /) -> MessageExt | None:
        """The message with the id that `SendResult.msg_id` has."""
        return await self._client._run(self._core.query_message_by_unique_key(topic, key))

    async def reset_offset(
        self, group: str, topic: str, time: datetime | float, /
    ) -> dict[MessageQueue, int]:
        """Has a group go on with the first message stored at this time or later; answers where that is."""
        return dict(await self._client._run(self._core.reset_offset(group, topic, milliseconds(time))))


__all__ = [
    "Admin",
    "Client",
    "LitePullConsumer",
    "OrderlyConsumer",
    "Producer",
    "PushConsumer",
    "TransactionProducer",
]
