"""The synchronous twin: the same names and settings, every call waits.

```python
from ferrocket import Message
from ferrocket.sync import Client

with Client("127.0.0.1:9876") as client, client.producer("order-service") as producer:
    print(producer.send(Message("Orders", "paid")))
```

Waiting releases the interpreter's lock, and Ctrl-C ends it.
"""

from __future__ import annotations

import logging
import select
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, Unpack
from weakref import WeakSet

from ferrocket import _core, _logs, _values
from ferrocket._core import (
    Delivery,
    Message,
    MessageExt,
    MessageQueue,
    OrderlyBatch,
    SendResult,
    TransactionSendResult,
)
from ferrocket._errors import ClosedError
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

_log = logging.getLogger("ferrocket")

Check = Callable[[MessageExt], LocalTransactionState]
"""Answers a broker that asks what became of a transaction; called on a thread of the producer."""
Local = Callable[["_core.Transaction"], LocalTransactionState]
"""The local work of a transaction."""


class _Scope:
    """Something with a beginning and an end."""

    _state = "new"

    def start(self) -> Self:
        """Begins; `with` does it."""
        if self._state != "new":
            raise ClosedError(f"this {type(self).__name__} was started before")
        self._start()
        self._state = "running"
        return self

    def close(self) -> None:
        """Ends in order; further calls have no effect."""
        if self._state == "running":
            self._state = "closed"
            self._close()
        self._state = "closed"

    def _start(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Client(_Scope):
    """The connection to a cluster, shared by all producers and consumers of a program, and by all threads."""

    def __init__(self, namesrv_addr: str = "", /, **settings: Unpack[ClientSettings]) -> None:
        """The NameServers are `host:port;host:port`; with none, `$NAMESRV_ADDR` says them."""
        self._core = _core.Client(namesrv_addr, pairs(settings))
        self._sources: WeakSet[_Source[Any, Any]] = WeakSet()
        self._producers: WeakSet[Producer] = WeakSet()
        _logs.start()

    def _start(self) -> None:
        pass

    def close(self) -> None:
        """Ends everything this client started; further calls have no effect."""
        if self._state != "closed":
            self._state = "closed"
            # What lies in their buffers would be waited for.
            for source in list(self._sources):
                source.close()
            # What is in their lines would be refused.
            for producer in list(self._producers):
                producer.close()
            self._core.shutdown().wait()

    @property
    def client_id(self) -> str:
        """How brokers know this client."""
        return self._core.client_id

    def producer(self, group: str, /, **settings: Unpack[ProducerSettings]) -> Producer:
        """A producer of this group, to be started by `with`."""
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

    def fetch_queues(self, topic: str, /) -> list[MessageQueue]:
        """The queues that messages of a topic can be sent to."""
        return self._core.fetch_queues(topic).wait()

    def events(self) -> Iterator[Event]:
        """What happens inside this client from now on: rebalances, routes, connections, slow handlers."""
        watcher = self._core.events()

        def told() -> Iterator[Event]:
            while events := watcher.next().wait():
                yield from _values.events(events)

        return told()


class Pending:
    """The receipt of a queued message."""

    __slots__ = ("_op",)

    def __init__(self, op: _core.Op[SendResult]) -> None:
        self._op = op

    def result(self) -> SendResult:
        """Waits for it; to be called once."""
        return self._op.wait()


class _Part(_Scope, Part["Client", Core]):
    def _start(self) -> None:
        self._core = self._open().wait()

    def _close(self) -> None:
        if not self._client._core.is_closed:
            self._running.shutdown().wait()


class Producer(_Part[_core.Producer]):
    """Sends messages in the name of a producer group. All threads may use it."""

    def _start(self) -> None:
        super()._start()
        self._client._producers.add(self)

    def send(self, message: Message, /, **terms: Unpack[SendTerms]) -> SendResult:
        """Sends one message and waits for the broker's receipt; after a failure another broker is tried."""
        return self._running.send(message, terms).wait()

    def enqueue(self, message: Message, /, **terms: Unpack[SendTerms]) -> Pending:
        """Puts a message in line and returns at once: messages leave in the order of calls."""
        return Pending(self._running.enqueue(message, terms))

    def enqueue_batch(self, messages: Iterable[Message], /, **terms: Unpack[SendTerms]) -> Pending:
        """Puts messages of one topic in line as one request, behind those of all earlier calls."""
        return Pending(self._running.enqueue_batch(list(messages), terms))

    def send_oneway(self, message: Message, /, **terms: Unpack[SendTerms]) -> None:
        """Sends a message and waits for no receipt. It may get lost."""
        self._running.send_oneway(message, terms).wait()

    def send_batch(self, messages: Iterable[Message], /, **terms: Unpack[SendTerms]) -> SendResult:
        """Sends messages of one topic as one request: stored next to each other, all or none."""
        return self._running.send_batch(list(messages), terms).wait()

    def send_ordered(
        self, message: Message, key: str, /, *, timeout: float | timedelta | None = None
    ) -> SendResult:
        """Sends a message to the queue of all messages with this key, so that they keep their order."""
        return self.send(message, ordered_by=key, timeout=timeout)

    def send_to(
        self, message: Message, queue: MessageQueue, /, *, timeout: float | timedelta | None = None
    ) -> SendResult:
        """Sends a message to this queue. Tried once."""
        return self.send(message, queue=queue, timeout=timeout)

    def request(self, message: Message, /, timeout: float = 3.0) -> MessageExt:
        """Sends a message and waits for the message that a consumer answers with (`MessageExt.reply`)."""
        return self._running.request(message, timeout).wait()

    def recall(self, topic: str, recall_handle: str, /) -> str:
        """Takes a delayed message back; answers its id. Brokers from 5.3 on."""
        return self._running.recall(topic, recall_handle).wait()

    def fetch_queues(self, topic: str, /) -> list[MessageQueue]:
        """The queues that messages of a topic can be sent to."""
        return self._client.fetch_queues(topic)


class TransactionProducer(_Part[_core.TransactionProducer]):
    """Sends messages that consumers get only if a local transaction was committed."""

    def __init__(
        self, client: Client, opened: Callable[[], _core.Op[_core.TransactionProducer]], check: Check
    ) -> None:
        if not callable(check):
            raise TypeError("check must be callable")
        super().__init__(client, opened)
        self._check = check

    def _start(self) -> None:
        super()._start()
        # Waits in Python, not in the core: a daemon thread must not be inside it when the interpreter ends.
        threading.Thread(
            target=self._answer_checks, args=(self._running,), name="ferrocket-checks", daemon=True
        ).start()

    def _answer_checks(self, core: _core.TransactionProducer) -> None:
        port = _core.Port()
        arriving = select.poll()
        arriving.register(port.fileno(), select.POLLIN)
        while True:
            core.checks().start(port, 0)
            while not (arrived := port.drain()):
                arriving.poll()
            for _, done, checks in arrived:
                if not (done and checks):
                    return
                for check in checks:
                    self._answer_check(check)

    def _answer_check(self, check: _core.Check) -> None:
        try:
            check.answer(LocalTransactionState(self._check(check.message)))
        except Exception as error:
            _log.exception(
                "the check of transaction %s failed; the broker will ask again", check.message.msg_id
            )
            check.fail(repr(error))

    def send_in_transaction(self, message: Message, local: Local, /) -> TransactionSendResult:
        """Sends a half message, runs `local`, and tells the broker what became of it.

        An exception of `local` is told as `UNKNOWN`: the broker will ask the check. It stands in the result's
        `failure`.
        """
        transaction = self._running.begin(message).wait()
        if not transaction.is_open:
            return transaction.end("ROLLBACK_MESSAGE", None).wait()
        state, failure = LocalTransactionState.UNKNOWN, None
        try:
            state = LocalTransactionState(local(transaction))
        except Exception as error:
            _log.exception("the local work of transaction %s failed", transaction.transaction_id)
            failure = repr(error)
        return transaction.end(state.value, failure).wait()


class _Source(_Part[Consumer], Source["Client", Consumer, Taken]):
    """A consumer whose core hands out batches. Threads share them: one waits for the next, the others for it."""

    def __init__(self, client: Client, opened: Callable[[], _core.Op[Consumer]]) -> None:
        super().__init__(client, opened)
        self._turn = threading.Lock()

    def _start(self) -> None:
        super()._start()
        self._client._sources.add(self)

    def _close(self) -> None:
        # What nobody looked at goes back.
        self._buffer.clear()
        super()._close()

    def __iter__(self) -> Iterator[Taken]:
        self._running  # noqa: B018
        while (taken := self._next()) is not None:
            yield taken

    def _next(self) -> Taken | None:
        # A forked child is refused before it waits for a thread that it does not have.
        self._running.group  # noqa: B018
        with self._turn:
            while self._state != "closed":
                try:
                    return self._buffer.popleft()
                except IndexError:
                    if not (batch := self._next_few().wait()):
                        return None
                    self._buffer.extend(batch)
            # It was closed while the last batch came: that goes back, too.
            self._buffer.clear()
            return None

    def subscribe(self, topic: str, wanted: str | MessageSelector = "*", /) -> None:
        """Adds a topic, or changes what is wanted of it."""
        self._running.subscribe(topic, *_values.selector(wanted)).wait()


class PushConsumer(Pushed["Client", _core.PushConsumer, Delivery], _Source[_core.PushConsumer, Delivery]):
    """Gets messages as they come: `for delivery in consumer`, `with delivery: …`.

    Leaving the `with` acknowledges; an exception, or a delivery that is forgotten, brings the message again later.
    """

    def run(self, handler: Callable[[Delivery], None], /, *, concurrency: int = 20) -> None:
        """Calls `handler` with every delivery on so many threads, until another thread, or Ctrl-C, closes the consumer.

        Its return acknowledges; its exception is logged, and the message comes again later.
        """
        with ThreadPoolExecutor(concurrency, "ferrocket-handler") as threads:
            try:
                for worker in [threads.submit(self._work, handler) for _ in range(concurrency)]:
                    worker.result()
            finally:
                # Ctrl-C ends the threads, too, which would be waited for.
                self.close()

    def _work(self, handler: Callable[[Delivery], None]) -> None:
        for delivery in self:
            try:
                with delivery:
                    handler(delivery)
            except Exception:
                _log.exception("the handler failed with message %s; it comes again later", delivery.msg_id)


class OrderlyConsumer(
    Pushed["Client", _core.OrderlyConsumer, OrderlyBatch], _Source[_core.OrderlyConsumer, OrderlyBatch]
):
    """Gets each queue's messages in order: `for batch in consumer`, `with batch: for message in batch: …`.

    The next batch of a queue comes when this one is answered. Leaving the `with` is success; an exception, or a
    batch that is forgotten, brings it again after `suspend_current_queue_time_millis`.
    """


class LitePullConsumer(Polled["Client"], _Source[_core.LitePullConsumer, MessageExt]):
    """Is polled: `consumer.poll()`, or `for message in consumer`.

    With `auto_commit` (the default) a poll, or asking for the next message, says that everything before it is done.
    """

    def _next(self) -> MessageExt | None:
        self._running.group  # noqa: B018
        with self._turn:
            # What the core has handed out counts as consumed: it is yielded, also while another thread closes.
            taken = [] if self._state == "closed" else self._running.next().wait()
            return taken[0] if taken else None

    def poll(self, timeout: float = 5.0) -> list[MessageExt]:
        """The next messages, as many as there are up to `pull_batch_size`; none when the time in seconds is up."""
        return self._running.poll(timeout).wait()

    def assign(self, queues: Iterable[MessageQueue], /) -> None:
        """Takes exactly these queues, in place of subscriptions."""
        self._running.assign(list(queues)).wait()

    def seek(self, queue: MessageQueue, offset: int, /) -> None:
        """Goes on with this offset of a queue."""
        self._running.seek(queue, offset).wait()

    def seek_to_begin(self, queue: MessageQueue, /) -> None:
        """Goes on with the first message of a queue."""
        self._running.seek_to_begin(queue).wait()

    def seek_to_end(self, queue: MessageQueue, /) -> None:
        """Goes on with what comes into a queue from now on."""
        self._running.seek_to_end(queue).wait()

    def commit(self) -> None:
        """Stores that everything polled so far is done."""
        self._running.commit().wait()

    def commit_offsets(self, offsets: dict[MessageQueue, int], /) -> None:
        """Stores these offsets."""
        self._running.commit_offsets(list(offsets.items())).wait()

    def committed(self, queue: MessageQueue, /) -> int | None:
        """The offset stored for a queue."""
        return self._running.committed(queue).wait()

    def offset_for_timestamp(self, queue: MessageQueue, time: datetime | float, /) -> int:
        """The offset of the first message stored at this time or later."""
        return self._running.offset_for_timestamp(queue, milliseconds(time)).wait()

    def fetch_queues(self, topic: str, /) -> list[MessageQueue]:
        """The queues that messages of a topic can be read from."""
        return self._running.fetch_queues(topic).wait()


class Admin:
    """What an application may ask and change of its cluster."""

    def __init__(self, client: Client) -> None:
        self._core = client._core

    def create_topic(self, topic: str, /, queues: int = 8, *, perm: int = 6) -> None:
        """Creates a topic on all brokers, or changes it."""
        self._core.create_topic(topic, queues, perm).wait()

    def delete_topic(self, topic: str, /) -> None:
        """Deletes a topic on all brokers and NameServers."""
        self._core.delete_topic(topic).wait()

    def create_group(self, group: str, /, *, retry_max_times: int = 16) -> None:
        """Creates a consumer group on all brokers, or changes it."""
        self._core.create_group(group, retry_max_times).wait()

    def delete_group(self, group: str, /) -> None:
        """Deletes a consumer group on all brokers."""
        self._core.delete_group(group).wait()

    def topics(self) -> set[str]:
        """All topics that the NameServer knows."""
        return set(self._core.topics().wait())

    def topic_route(self, topic: str, /) -> TopicRoute:
        """Where a topic lives."""
        return _values.topic_route(*self._core.topic_route(topic).wait())

    def topic_stats(self, topic: str, /) -> dict[MessageQueue, TopicOffset]:
        """What each queue of a topic holds."""
        stats = self._core.topic_stats(topic).wait()
        return {queue: TopicOffset(*offsets) for queue, *offsets in stats}

    def consume_stats(self, group: str, topic: str, /) -> dict[MessageQueue, ConsumeOffset]:
        """How far a group is in each queue of a topic."""
        stats = self._core.consume_stats(group, topic).wait()
        return {queue: ConsumeOffset(*offsets) for queue, *offsets in stats}

    def consumer_connection(self, group: str, topic: str, /) -> ConsumerConnection | None:
        """Who consumes in a group, as a broker of the topic sees it."""
        told = self._core.consumer_connection(group, topic).wait()
        return None if told is None else _values.consumer_connection(*told)

    def view_message(self, topic: str, offset_msg_id: str, /) -> MessageExt:
        """The message with this offset message id."""
        return self._core.view_message(topic, offset_msg_id).wait()

    def query_message(
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
        return self._core.query_message(topic, key, max, *span).wait()

    def query_message_by_unique_key(self, topic: str, key: str, /) -> MessageExt | None:
        """The message with the id that `SendResult.msg_id` has."""
        return self._core.query_message_by_unique_key(topic, key).wait()

    def reset_offset(self, group: str, topic: str, time: datetime | float, /) -> dict[MessageQueue, int]:
        """Has a group go on with the first message stored at this time or later; answers where that is."""
        return dict(self._core.reset_offset(group, topic, milliseconds(time)).wait())
