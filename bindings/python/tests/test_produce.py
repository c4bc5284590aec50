"""Sends of every kind, and what goes wrong with them."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import ferrocket
import pytest
from conftest import Run
from ferrocket import Client, LocalTransactionState, Message, MessageQueue, MessageSelector
from ferrocket.testing import Broker

MakeClient = Callable[..., Client]
FROM_FIRST: Any = {"consume_from_where": "CONSUME_FROM_FIRST_OFFSET"}


async def received(client: Client, topic: str, group: str, count: int) -> list[str]:
    """The bodies of so many messages of a topic."""
    bodies = []
    async with client.push_consumer(group, {topic: "*"}, **FROM_FIRST) as consumer:
        async for delivery in consumer:
            with delivery:
                bodies.append(delivery.text)
            if len(bodies) == count:
                break
    return bodies


def test_what_is_enqueued_is_sent_before_the_end(
    run: Run[None], client: MakeClient, topic: str, group: str
) -> None:
    async def work() -> None:
        async with client() as cluster:
            async with cluster.producer(group) as producer:
                sends = [producer.enqueue(Message(topic, f"{i}")) for i in range(2000)]
            another = await cluster.producer(f"{group}-2").start()
            sends += [another.enqueue(Message(topic, f"{i}")) for i in range(2000)]
        assert all(sent.is_ok for sent in await asyncio.gather(*sends))

    run(work())


def test_every_kind_of_send_arrives(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster, cluster.producer(group) as producer:
            sent = await producer.send(Message(topic, "send", tags="a", keys=["k1", "k2"]))
            assert sent.is_ok
            assert sent.status == "SEND_OK"
            assert sent.message_queue.topic == topic
            assert sent.queue_offset == 0
            await producer.send_oneway(Message(topic, b"oneway"))
            batch = await producer.send_batch(Message(topic, f"batch-{i}") for i in range(3))
            assert batch.msg_id.count(",") == 2
            ordered = [await producer.send_ordered(Message(topic, f"ordered-{i}"), "key") for i in range(3)]
            assert len({result.message_queue for result in ordered}) == 1
            queue = (await producer.fetch_queues(topic))[-1]
            assert (await producer.send_to(Message(topic, "to"), queue)).message_queue == queue
            pending = [producer.enqueue(Message(topic, f"enqueued-{i}")) for i in range(100)]
            receipts = await asyncio.gather(*pending)
            assert all(receipt.is_ok for receipt in receipts)
            bodies = await received(cluster, topic, group, 109)
            assert sorted(bodies) == sorted(
                ["send", "oneway", "to"]
                + [f"{kind}-{i}" for kind in ("batch", "ordered") for i in range(3)]
                + [f"enqueued-{i}" for i in range(100)]
            )

    run(work())


def test_each_send_has_terms_of_its_own(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster, cluster.producer(group) as producer:
            queue = (await producer.fetch_queues(topic))[2]
            first = await producer.send(Message(topic, "0"), queue=queue, timeout=60.0)
            await producer.send_oneway(Message(topic, "1"), queue=queue, timeout=timedelta(minutes=1))
            pending = [producer.enqueue(Message(topic, f"{i}"), queue=queue) for i in range(2, 10)]
            receipts = [first, *await asyncio.gather(*pending)]
            receipts.append(await producer.send_batch([Message(topic, "b")] * 2, queue=queue, timeout=None))
            pending = [
                producer.enqueue_batch((Message(topic, f"{i}") for i in range(3)), queue=queue)
                for _ in range(2)
            ]
            receipts += await asyncio.gather(*pending)
            assert {sent.message_queue for sent in receipts} == {queue}
            assert [sent.queue_offset for sent in receipts] == [0, *range(2, 11), 12, 15]
            ordered = await producer.send_ordered(Message(topic, "o"), "order-7", timeout=60.0)
            pending = [producer.enqueue(Message(topic, "o"), ordered_by="order-7") for _ in range(4)]
            assert {sent.message_queue for sent in await asyncio.gather(*pending)} == {ordered.message_queue}

    run(work())


def test_terms_that_cannot_be_are_errors(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster, cluster.producer(group) as producer:
            message, other = Message(topic, "b"), MessageQueue("Other", "broker-a", 0)
            for terms, error in [
                ({"queue": other}, ferrocket.InvalidMessageError),
                ({"queue": other, "ordered_by": "key"}, ferrocket.ConfigError),
                ({"timeout": 0.0}, ferrocket.ConfigError),
                ({"timeout": -1.0}, ValueError),
                # It would go anywhere, and its order be lost.
                ({"queue": None}, TypeError),
                ({"ordered_by": None}, TypeError),
                ({"ordered_by": 7}, TypeError),
                ({"key": "key"}, TypeError),
            ]:
                wrong: Any = terms
                with pytest.raises(error):
                    await producer.send(message, **wrong)
                with pytest.raises(error):
                    await producer.enqueue(message, **wrong)
                with pytest.raises(error):
                    await producer.send_oneway(message, **wrong)
                with pytest.raises(error):
                    await producer.send_batch([message], **wrong)
                with pytest.raises(error):
                    await producer.enqueue_batch([message], **wrong)

    run(work())


def test_what_a_message_has_arrives(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster, cluster.producer(group) as producer:
            message = Message(
                topic, bytearray(b"\xff\x00"), tags="gold", keys="k", flag=7, properties={"region": "north"}
            )
            assert message == Message(
                topic,
                memoryview(b"\xff\x00"),
                tags="gold",
                keys=("k",),
                flag=7,
                properties={"region": "north"},
            )
            sent = await producer.send(message)
            found = await cluster.admin.view_message(topic, sent.offset_msg_id)
            assert (found.body, found.tags, found.keys, found.flag) == (b"\xff\x00", "gold", ["k"], 7)
            assert found.property("region") == found.properties["region"] == "north"
            assert (found.msg_id, found.reconsume_times) == (sent.msg_id, 0)
            assert found.queue_offset == sent.queue_offset
            with pytest.raises(ValueError, match="no text"):
                _ = found.text

    run(work())


def test_delayed_messages_wait_for_the_clock(
    run: Run[None], client: MakeClient, ferrocket_broker: Broker, topic: str, group: str
) -> None:
    async def work() -> None:
        async with client() as cluster, cluster.producer(group) as producer:
            await producer.send(Message(topic, "now"))
            await producer.send(Message(topic, "later", delay_level=5))
            ferrocket_broker.advance(61)
            assert sorted(await received(cluster, topic, group, 2)) == ["later", "now"]

    run(work())


def test_times_of_delivery_are_properties() -> None:
    assert Message("T", "", deliver_after=2).properties["TIMER_DELAY_SEC"] == "2"
    assert Message("T", "", deliver_after=timedelta(milliseconds=1500)).properties["TIMER_DELAY_MS"] == "1500"
    at = time.time() + 60
    assert Message("T", "", deliver_at=at).properties["TIMER_DELIVER_MS"] == str(int(at * 1000))


def test_requests_are_answered(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    async def answer(cluster: Client, ready: asyncio.Event) -> None:
        async with (
            cluster.producer(f"{group}-answers") as producer,
            cluster.push_consumer(group, {topic: "*"}, **FROM_FIRST) as consumer,
        ):
            ready.set()
            async for delivery in consumer:
                with delivery:
                    await producer.send(delivery.reply(b"re-" + delivery.body))

    async def work() -> None:
        async with client() as asking, client() as answering, asking.producer(f"{group}-asks") as producer:
            ready = asyncio.Event()
            task = asyncio.create_task(answer(answering, ready))
            await ready.wait()
            answers = [await producer.request(Message(topic, f"q{i}"), timeout=60.0) for i in range(3)]
            assert [one.text for one in answers] == ["re-q0", "re-q1", "re-q2"]
            task.cancel()
            await asyncio.wait([task])

    run(work())


def test_transactions_end_as_the_local_work_says(
    run: Run[None], client: MakeClient, ferrocket_broker: Broker, topic: str, group: str
) -> None:
    checked: list[str] = []

    async def check(message: ferrocket.MessageExt) -> LocalTransactionState:
        checked.append(message.text)
        return LocalTransactionState.COMMIT

    async def commit(transaction: ferrocket.Transaction) -> LocalTransactionState:
        assert transaction.half is not None
        assert transaction.half.is_ok
        assert transaction.message is not None
        return LocalTransactionState.COMMIT

    def rollback(_: ferrocket.Transaction) -> LocalTransactionState:
        return LocalTransactionState.ROLLBACK

    def fail(_: ferrocket.Transaction) -> LocalTransactionState:
        raise RuntimeError("the database is gone")

    async def work() -> None:
        async with client() as cluster, cluster.transaction_producer(group, check) as producer:
            done = await producer.send_in_transaction(Message(topic, "committed"), commit)
            assert (done.sent.is_ok, done.local_transaction_state) == (True, "COMMIT_MESSAGE")
            back = await producer.send_in_transaction(Message(topic, "rolled back"), rollback)
            assert back.local_transaction_state == "ROLLBACK_MESSAGE"
            failed = await producer.send_in_transaction(Message(topic, "asked for"), fail)
            assert failed.local_transaction_state == "UNKNOW"
            assert "the database is gone" in (failed.failure or "")
            asked = asyncio.create_task(received(cluster, topic, f"{group}-c", 2))
            while not checked:
                ferrocket_broker.advance(70)
                await asyncio.sleep(0.05)
            assert sorted(await asked) == ["asked for", "committed"]
            assert set(checked) == {"asked for"}

    run(work())


def test_failed_sends_give_the_message_back(run: Run[None], addr: str, name: str, group: str) -> None:
    async def work() -> None:
        async with Client(addr) as cluster, cluster.producer(group, max_message_size=10) as producer:
            message = Message(name, "x" * 11)
            with pytest.raises(ferrocket.InvalidMessageError) as refused:
                await producer.send(message)
            assert refused.value.unsent == [message]
            assert (refused.value.kind, refused.value.retryable) == ("InvalidMessage", False)
        # Nobody listens on port 1.
        async with (
            Client("127.0.0.1:1") as cluster,
            cluster.producer(group, send_msg_timeout=500) as producer,
        ):
            with pytest.raises(ferrocket.FerrocketError) as lost:
                await producer.send(Message(name, "lost"))
            assert lost.value.retryable
            with pytest.raises(ferrocket.FerrocketError):
                await producer.enqueue(Message(name, "lost"))

    run(work())


def test_a_cancelled_send_leaves_the_rest_alone(
    run: Run[None], client: MakeClient, topic: str, group: str
) -> None:
    async def work() -> None:
        async with client() as cluster, cluster.producer(group) as producer:
            task = asyncio.create_task(producer.send(Message(topic, "cancelled")))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await producer.send(Message(topic, "kept"))).is_ok

    run(work())


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: Message(None, "b"), TypeError),  # type: ignore[arg-type]
        (lambda: Message("T", None), TypeError),  # type: ignore[arg-type]
        (lambda: Message("T", 5), TypeError),  # type: ignore[arg-type]
        (lambda: Message("T", "\ud800"), UnicodeEncodeError),
        (lambda: Message("\ud800", "b"), UnicodeEncodeError),
        (lambda: Message("T", "b", tags=5), TypeError),  # type: ignore[arg-type]
        (lambda: Message("T", "b", keys=[1]), TypeError),  # type: ignore[list-item]
        (lambda: Message("T", "b", properties={"a": 1}), TypeError),  # type: ignore[dict-item]
        (lambda: Message("T", "b", delay_level=-1), OverflowError),
        (lambda: Message("T", "b", delay_level=1 << 40), OverflowError),
        (lambda: Message("T", "b", flag=1 << 40), OverflowError),
        (lambda: Message("T", "b", deliver_after=-1), ValueError),
        (lambda: Message("T", "b", deliver_after=float("nan")), ValueError),
        (lambda: Message("T", "b", deliver_at=1e300), ValueError),
        (lambda: Message("T", "b", deliver_at="tomorrow"), TypeError),  # type: ignore[arg-type]
        (lambda: MessageQueue("T", "b", 1 << 40), OverflowError),
        (lambda: MessageQueue("T", "b"), TypeError),  # type: ignore[call-arg]
        (lambda: Client(5), TypeError),  # type: ignore[arg-type]
        (lambda: Client("a:1", instance_name=object()), TypeError),  # type: ignore[arg-type]
        (lambda: Client("a:1", no_such_setting=1), ferrocket.ConfigError),  # type: ignore[call-arg]
        (lambda: Client("not an address"), ferrocket.ConfigError),
    ],
)
def test_what_cannot_be_is_an_error(wrong: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        wrong()


def test_huge_messages_are_refused_not_sent(
    run: Run[None], client: MakeClient, topic: str, group: str
) -> None:
    async def work() -> None:
        async with client() as cluster, cluster.producer(group) as producer:
            with pytest.raises(ferrocket.InvalidMessageError):
                await producer.send(Message(topic, bytes(64 << 20)))
            with pytest.raises(ferrocket.InvalidMessageError):
                await producer.send(Message("x" * 100_000, "b"))
            with pytest.raises(ferrocket.FerrocketError):
                await producer.send(Message(topic, "b", properties={"p": "x" * 100_000}))
            assert (await producer.send(Message(topic, "goes on"))).is_ok

    run(work())


def test_wrong_types_reach_no_cluster(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster, cluster.producer(group) as producer:
            for wrong in (None, "text", b"bytes", 5, object()):
                with pytest.raises(TypeError):
                    await producer.send(wrong)  # type: ignore[arg-type]
                with pytest.raises(TypeError):
                    producer.enqueue(wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                await producer.send_batch([Message(topic, "b"), "text"])  # type: ignore[list-item]
            with pytest.raises(TypeError):
                await producer.send_to(Message(topic, "b"), "queue")  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="s:"):
                await producer.request(Message(topic, "b"), timeout=-1.0)
            with pytest.raises(TypeError):
                cluster.push_consumer(group, topic)  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                cluster.push_consumer(group, {topic: 5})  # type: ignore[dict-item]
            with pytest.raises(ferrocket.ConfigError, match="not sql"):
                cluster.push_consumer(group, {topic: MessageSelector("a > 3", "sql")})  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                cluster.transaction_producer(group, "no function")  # type: ignore[arg-type]

    run(work())
