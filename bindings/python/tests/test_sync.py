"""The synchronous twin does the same."""

import asyncio
import inspect
import threading
from typing import Any

import ferrocket
import ferrocket.sync
import pytest
from conftest import LIMIT
from ferrocket import LocalTransactionState, Message, MessageExt
from ferrocket.sync import Client
from ferrocket.testing import Broker

FROM_FIRST: Any = {"consume_from_where": "CONSUME_FROM_FIRST_OFFSET"}


@pytest.mark.parametrize(
    "kind",
    [
        "Admin",
        "Client",
        "LitePullConsumer",
        "OrderlyConsumer",
        "Producer",
        "PushConsumer",
        "TransactionProducer",
    ],
)
def test_both_faces_have_the_same_methods(kind: str) -> None:
    def public(module: Any) -> set[str]:
        return {name for name, _ in inspect.getmembers(getattr(module, kind)) if not name.startswith("_")}

    # Batches, and handlers of queues side by side, are asyncio's.
    extra = {"batches"} | ({"run"} if kind == "OrderlyConsumer" else set())
    assert public(ferrocket.sync) == public(ferrocket) - extra


def test_a_message_goes_round(addr: str, topic: str, group: str) -> None:
    with Client(addr) as cluster:
        with cluster.producer(group) as producer:
            assert producer.group == group
            assert producer.send(Message(topic, "m0")).is_ok
            producer.send_oneway(Message(topic, "m1"))
            assert producer.enqueue_batch([Message(topic, "m2"), Message(topic, "m3")]).result().is_ok
            producer.send_ordered(Message(topic, "m4"), "key")
            producer.send_to(Message(topic, "m5"), producer.fetch_queues(topic)[0])
            queue = producer.fetch_queues(topic)[1]
            pending = [producer.enqueue(Message(topic, f"m{6 + i}"), queue=queue) for i in range(4)]
            assert {one.result().message_queue for one in pending} == {queue}
            with pytest.raises(ferrocket.ConfigError):
                pending[0].result()
        seen = set()
        with cluster.push_consumer(group, {topic: "*"}, **FROM_FIRST) as consumer:
            for delivery in consumer:
                with delivery:
                    seen.add(delivery.text)
                if len(seen) == 10:
                    break
            assert consumer.group == group
            assert consumer.queues
        with cluster.orderly_consumer(f"{group}-o", {topic: "*"}, **FROM_FIRST) as orderly:
            for batch in orderly:
                with batch:
                    seen.difference_update(message.text for message in batch)
                if not seen:
                    break
        with cluster.lite_pull_consumer(f"{group}-l", {topic: "*"}, **FROM_FIRST) as lite:
            bodies: set[str] = set()
            while len(bodies) < 10:
                bodies.update(message.text for message in lite.poll())
            lite.commit()


@pytest.mark.parametrize("auto_commit", [True, False])
def test_what_the_program_has_not_seen_is_not_committed(
    addr: str, topic: str, group: str, auto_commit: bool
) -> None:
    with Client(addr) as cluster, cluster.producer(group) as producer:
        producer.send_batch(Message(topic, f"m{i}") for i in range(3))
        for seen in ("m0", "m1", "m2"):
            with cluster.lite_pull_consumer(
                group, {topic: "*"}, auto_commit=auto_commit, **FROM_FIRST
            ) as consumer:
                assert next(iter(consumer)).text == seen
                if not auto_commit:
                    consumer.commit()


def test_handlers_run_on_threads(addr: str, topic: str, group: str) -> None:
    with Client(addr) as cluster:
        with cluster.producer(group) as producer:
            for i in range(40):
                producer.send(Message(topic, f"m{i}"))
        seen: list[str] = []
        consumer = cluster.push_consumer(group, {topic: "*"}, **FROM_FIRST).start()

        def handle(delivery: ferrocket.Delivery) -> None:
            seen.append(delivery.text)
            if len(seen) == 40:
                threading.Thread(target=consumer.close).start()

        consumer.run(handle, concurrency=4)
        assert sorted(seen) == sorted(f"m{i}" for i in range(40))


def test_threads_share_a_batch(addr: str, topic: str, group: str) -> None:
    """What comes at once is not left to the thread that took it, also when the others waited already."""
    together = threading.Barrier(4)
    rounds: list[int] = []
    with Client(addr) as cluster, cluster.producer(group) as producer:
        consumer = cluster.push_consumer(group, {topic: "*"}, **FROM_FIRST).start()

        def handle(_: ferrocket.Delivery) -> None:
            if together.wait(LIMIT) == 0:
                rounds.append(1)
                if len(rounds) == 3:
                    threading.Thread(target=consumer.close).start()
                else:
                    producer.send_batch(Message(topic, f"m{i}") for i in range(4))

        producer.send_batch(Message(topic, f"m{i}") for i in range(4))
        consumer.run(handle, concurrency=4)
    assert len(rounds) == 3


def test_transactions_are_checked_on_a_thread(
    addr: str, ferrocket_broker: Broker, topic: str, group: str
) -> None:
    asked = threading.Event()

    def check(message: MessageExt) -> LocalTransactionState:
        if not asked.is_set():
            asked.set()
            raise RuntimeError("the broker asks again")
        return LocalTransactionState.COMMIT

    with Client(addr) as cluster, cluster.transaction_producer(group, check) as producer:
        done = producer.send_in_transaction(Message(topic, "m"), lambda _: LocalTransactionState.UNKNOWN)
        assert done.local_transaction_state == "UNKNOW"
        wrong: Any = lambda _: "no state"  # noqa: E731
        assert "no state" in (producer.send_in_transaction(Message(topic, "w"), wrong).failure or "")
        with cluster.push_consumer(f"{group}-c", {topic: "*"}, **FROM_FIRST) as consumer:
            turning = threading.Event()

            def turn() -> None:
                while not turning.wait(0.05):
                    ferrocket_broker.advance(70)

            clock = threading.Thread(target=turn)
            clock.start()
            for delivery in consumer:
                delivery.ack()
                break
            turning.set()
            clock.join()


def test_events_are_iterated(addr: str, topic: str, group: str) -> None:
    with Client(addr) as cluster:
        events = cluster.events()
        with cluster.producer(group) as producer:
            producer.send(Message(topic, "m"))
        assert isinstance(next(events), ferrocket.Connected | ferrocket.RouteChanged)


def test_requests_reach_a_replier(addr: str, topic: str, group: str) -> None:
    with Client(addr) as asking, Client(addr) as answering, asking.producer(group) as producer:
        consumer = answering.push_consumer(group, {topic: "*"}, **FROM_FIRST).start()
        answers = answering.producer(f"{group}-a").start()
        thread = threading.Thread(
            target=consumer.run, args=(lambda one: answers.send(one.reply("re")) and None,)
        )
        thread.start()
        assert producer.request(Message(topic, "q"), timeout=60.0).text == "re"
        consumer.close()
        thread.join()


def test_both_faces_work_side_by_side(addr: str, topic: str, group: str) -> None:
    async def send() -> bool:
        async with ferrocket.Client(addr) as cluster, cluster.producer(group) as producer:
            return (await producer.send(Message(topic, "async"))).is_ok

    with Client(addr) as cluster, cluster.producer(group) as producer:
        assert asyncio.run(send())
        assert producer.send(Message(topic, "sync")).is_ok
