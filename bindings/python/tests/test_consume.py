"""Consumers of every kind."""

import asyncio
import gc
import select
from collections.abc import Callable
from typing import Any

import ferrocket
import pytest
from conftest import Run, create_topic
from ferrocket import Client, Message, MessageSelector
from ferrocket import sync as ferrocket_sync
from ferrocket.testing import Broker

MakeClient = Callable[..., Client]
FROM_FIRST: Any = {"consume_from_where": "CONSUME_FROM_FIRST_OFFSET"}


async def sent(cluster: Client, group: str, topic: str, count: int, **extra: Any) -> None:
    async with cluster.producer(f"{group}-p") as producer:
        for i in range(count):
            await producer.send(Message(topic, f"m{i}", **extra))


def test_deliveries_come_in_batches_and_are_answered_one_by_one(
    run: Run[None], client: MakeClient, topic: str, group: str
) -> None:
    async def work() -> None:
        async with client() as cluster:
            await sent(cluster, group, topic, 20)
            async with cluster.push_consumer(group, {topic: "*"}, **FROM_FIRST) as consumer:
                seen: set[str] = set()
                async for batch in consumer.batches():
                    for delivery in batch:
                        assert not delivery.is_answered
                        delivery.ack()
                        assert delivery.is_answered
                        delivery.retry_later()  # Only the first answer counts.
                        seen.add(delivery.text)
                    if len(seen) == 20:
                        break
                assert {queue.topic for queue in consumer.queues if queue.topic == topic} == {topic}
            stats = await cluster.admin.consume_stats(group, topic)
            assert sum(offset.consumer_offset for offset in stats.values()) == 20
            assert all(offset.lag == 0 for offset in stats.values())

    run(work())


def test_what_fails_comes_again(
    run: Run[None], client: MakeClient, ferrocket_broker: Broker, topic: str, group: str
) -> None:
    async def work() -> None:
        async with client() as cluster:
            await sent(cluster, group, topic, 3)
            attempts: list[tuple[str, int]] = []
            again = asyncio.Event()

            async def handle(delivery: ferrocket.Delivery) -> None:
                attempts.append((delivery.text, delivery.reconsume_times))
                if delivery.text == "m1" and delivery.reconsume_times == 0:
                    raise RuntimeError("not yet")
                if delivery.reconsume_times == 1:
                    again.set()

            async with cluster.push_consumer(group, {topic: "*"}, **FROM_FIRST) as consumer:
                handling = asyncio.create_task(consumer.run(handle, concurrency=4))
                while not again.is_set():
                    ferrocket_broker.advance(11)
                    await asyncio.sleep(0.05)
            await handling
            assert sorted(attempts) == [("m0", 0), ("m1", 0), ("m1", 1), ("m2", 0)]

    run(work())


def test_forgotten_deliveries_come_again(
    run: Run[None], client: MakeClient, ferrocket_broker: Broker, topic: str, group: str
) -> None:
    async def work() -> None:
        async with client() as cluster:
            await sent(cluster, group, topic, 1)

            async def turn() -> None:
                while True:
                    ferrocket_broker.advance(11)
                    await asyncio.sleep(0.05)

            async with cluster.push_consumer(group, {topic: "*"}, **FROM_FIRST) as consumer:
                turning = asyncio.create_task(turn())
                async for delivery in consumer:
                    if delivery.reconsume_times > 0:
                        delivery.ack()
                        break
                    # Nobody answers, and the collector takes it away.
                    del delivery
                    gc.collect()
                turning.cancel()

    run(work())


def test_a_cancelled_wait_loses_nothing(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster, cluster.push_consumer(group, {topic: "*"}, **FROM_FIRST) as consumer:

            async def one() -> str:
                async for delivery in consumer:
                    with delivery:
                        return delivery.text
                raise AssertionError("the consumer ended")

            waits = [asyncio.create_task(one()) for _ in range(3)]
            await asyncio.sleep(0.01)
            waits[0].cancel()
            waits[1].cancel()
            await sent(cluster, group, topic, 2)
            assert {await waits[2], await one()} == {"m0", "m1"}

    run(work())


def test_orderly_batches_keep_their_order(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster:
            async with cluster.producer(group) as producer:
                for i in range(12):
                    await producer.send_ordered(Message(topic, f"{i % 3}-{i // 3}"), str(i % 3))
            seen: list[str] = []
            all_seen = asyncio.Event()

            async def handle(batch: ferrocket.OrderlyBatch) -> None:
                assert len(batch) == len(batch.messages) == 1
                (message,) = batch
                assert batch.message_queue == message.message_queue
                if message.text == "1-1" and "suspended" not in seen:
                    seen.append("suspended")
                    raise RuntimeError("not yet")
                if message.text == "2-2" and "paused" not in seen:
                    seen.append("paused")
                    batch.suspend(0.01)
                    return
                seen.append(message.text)
                if len(seen) == 14:
                    all_seen.set()

            settings: Any = FROM_FIRST | {"suspend_current_queue_time_millis": 10}
            async with cluster.orderly_consumer(group, {topic: "*"}, **settings) as consumer:
                handling = asyncio.create_task(consumer.run(handle))
                await all_seen.wait()
            await handling
            for key in "012":
                assert [one for one in seen if one[0] == key] == [f"{key}-{i}" for i in range(4)]

    run(work())


def test_tags_and_conditions_select(run: Run[None], name: str, group: str) -> None:
    async def work() -> None:
        with Broker(enablePropertyFilter=True) as broker:
            with ferrocket_sync.Client(broker.namesrv_addr) as makes:
                create_topic(makes, name)
            async with Client(broker.namesrv_addr) as cluster:
                async with cluster.producer(group) as producer:
                    for i in range(6):
                        message = Message(name, f"m{i}", tags="ab"[i % 2], properties={"amount": str(i)})
                        await producer.send(message)
                wishes: list[tuple[str | MessageSelector, set[str]]] = [
                    ("b", {"m1", "m3", "m5"}),
                    (MessageSelector.by_tag("a || c"), {"m0", "m2", "m4"}),
                    (MessageSelector.by_sql("amount > 3"), {"m4", "m5"}),
                ]
                for selector, wanted in wishes:
                    seen: set[str] = set()
                    its_group = f"{group}-{len(wanted)}-{min(wanted)}"
                    async with cluster.push_consumer(its_group, {name: selector}, **FROM_FIRST) as consumer:
                        async for delivery in consumer:
                            with delivery:
                                seen.add(delivery.text)
                            if seen == wanted:
                                break

    run(work())


def test_broadcasts_reach_every_client(
    run: Run[None], client: MakeClient, tmp_path: Any, topic: str, group: str
) -> None:
    async def work() -> None:
        async with client() as one, client() as two:
            await sent(one, group, topic, 1)
            settings: Any = {"message_model": "BROADCASTING", "local_offset_store_dir": str(tmp_path)}
            settings |= FROM_FIRST
            async with (
                one.push_consumer(group, {topic: "*"}, **settings) as first,
                two.push_consumer(group, {topic: "*"}, **settings) as second,
            ):
                for consumer in (first, second):
                    async for delivery in consumer:
                        with delivery:
                            assert delivery.text == "m0"
                        break

    run(work())


def test_polls_seek_and_commit(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster:
            await sent(cluster, group, topic, 10)
            async with cluster.lite_pull_consumer(group, auto_commit=False) as consumer:
                queues = await consumer.fetch_queues(topic)
                await consumer.assign(queues)
                for queue in queues:
                    await consumer.seek_to_begin(queue)
                bodies: list[str] = []
                while len(bodies) < 10:
                    bodies += [message.text for message in await consumer.poll(60.0)]
                assert sorted(bodies) == [f"m{i}" for i in range(10)]
                assert await consumer.poll(0.01) == []
                await consumer.commit()
                assert sum([await consumer.committed(queue) or 0 for queue in queues]) == 10
                await consumer.commit_offsets({queues[0]: 0})
                assert await consumer.committed(queues[0]) == 0
                consumer.pause(queues)
                for queue in queues:
                    await consumer.seek(queue, 0)
                assert await consumer.poll(0.01) == []
                consumer.resume(queues)
                async for message in consumer:
                    assert message.topic == topic
                    break
                first = await consumer.offset_for_timestamp(queues[0], 0)
                assert first == 0

    run(work())


def test_waits_that_were_given_up_do_not_decide_how_long_others_are(
    run: Run[None], client: MakeClient, topic: str, group: str
) -> None:
    async def work() -> None:
        async with (
            client() as cluster,
            cluster.lite_pull_consumer(group, {topic: "*"}, **FROM_FIRST) as consumer,
        ):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(consumer.poll(0.05), 0.01)
            taking = asyncio.ensure_future(anext(aiter(consumer)))
            await asyncio.wait([taking], timeout=0.1)
            await sent(cluster, group, topic, 1)
            assert (await taking).text == "m0"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(consumer.poll(0.05), 0.01)
            polling = asyncio.ensure_future(consumer.poll(60.0))
            await asyncio.wait([polling], timeout=0.1)
            await sent(cluster, group, topic, 1)
            assert [message.text for message in await polling] == ["m0"]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(aiter(consumer)), 0.01)
            clock = asyncio.get_running_loop().time
            before = clock()
            assert await consumer.poll(0.01) == []
            assert clock() - before < 20

    run(work())


@pytest.mark.parametrize("auto_commit", [True, False])
def test_what_a_cancelled_poll_brought_is_not_committed(
    run: Run[None], client: MakeClient, topic: str, group: str, auto_commit: bool
) -> None:
    async def work() -> None:
        async with client() as cluster, cluster.producer(f"{group}-p") as producer:
            settings: Any = FROM_FIRST | {"auto_commit": auto_commit}
            async with cluster.lite_pull_consumer(group, {topic: "*"}, **settings) as consumer:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(consumer.poll(60.0), 0.01)
                sent = await producer.send_batch(Message(topic, f"m{i}") for i in range(3))
                while not consumer._buffer:
                    await asyncio.sleep(0.01)
                with pytest.raises(ferrocket.ConfigError, match="offset"):
                    await consumer.seek(sent.message_queue, 99)
                if not auto_commit:
                    await consumer.commit()
            async with cluster.lite_pull_consumer(group, {topic: "*"}, **settings) as consumer:
                assert [message.text for message in await consumer.poll(60.0)] == ["m0", "m1", "m2"]

    run(work())


def test_what_arrives_at_the_end_is_not_committed(
    run: Run[None], client: MakeClient, topic: str, group: str, ferrocket_broker: Broker
) -> None:
    async def work() -> None:
        async with client() as cluster:
            consumer = await cluster.lite_pull_consumer(group, {topic: "*"}, **FROM_FIRST).start()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(aiter(consumer)), 0.01)
            # While the loop is busy the message comes, unseen by it.
            with (
                ferrocket_sync.Client(ferrocket_broker.namesrv_addr) as other,
                other.producer(f"{group}-p") as producer,
            ):
                producer.send(Message(topic, "late"))
            assert cluster._bridge is not None
            select.select([cluster._bridge.port.fileno()], [], [])
            await consumer.close()
            async with cluster.lite_pull_consumer(group, {topic: "*"}, **FROM_FIRST) as consumer:
                assert [message.text for message in await consumer.poll(60.0)] == ["late"]

    run(work())


def test_topics_come_and_go(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster:
            await sent(cluster, group, topic, 1)
            async with cluster.push_consumer(group, {f"{topic}-other": "*"}, **FROM_FIRST) as consumer:
                await consumer.subscribe(topic, "*")
                consumer.unsubscribe(f"{topic}-other")
                async for delivery in consumer:
                    with delivery:
                        assert delivery.text == "m0"
                    break
                consumer.suspend()
                consumer.resume()
                consumer.unsubscribe(topic)

    run(work())


def test_what_happens_is_told(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster:
            kinds = set()
            events = cluster.events()

            async def watch() -> None:
                async for event in events:
                    kinds.add(type(event))
                    if isinstance(event, ferrocket.Rebalanced) and event.topic == topic and event.queues:
                        assert (event.group, event.queues[0].topic) == (group, topic)
                        return

            await sent(cluster, group, topic, 1)
            watching = asyncio.create_task(watch())
            async with cluster.push_consumer(group, {topic: "*"}):
                await watching
            assert ferrocket.Connected in kinds

    run(work())


def test_administration(run: Run[None], client: MakeClient, name: str, group: str) -> None:
    async def work() -> None:
        async with client() as cluster:
            admin = cluster.admin
            await admin.create_topic(name, 3)
            await admin.create_group(group, retry_max_times=2)
            assert name in await admin.topics()
            route = await admin.topic_route(name)
            assert (route.queues[0].read_queue_nums, route.queues[0].write_queue_nums) == (3, 3)
            assert 0 in route.brokers[0].addrs
            await sent(cluster, group, name, 5, keys="k")
            stats = await admin.topic_stats(name)
            assert sum(offset.max_offset - offset.min_offset for offset in stats.values()) == 5
            found: list[ferrocket.MessageExt] = []
            while len(found) < 5:  # The index is made behind the sends.
                found = await admin.query_message(name, "k")
            one = await admin.query_message_by_unique_key(name, found[0].msg_id)
            assert one is not None
            assert one.text == "m0"
            assert await admin.query_message_by_unique_key(name, "no such id") is None
            assert await admin.consumer_connection(group, name) is None
            async with cluster.push_consumer(group, {name: "a || b"}) as consumer:
                while not any(queue.topic == name for queue in consumer.queues):
                    await asyncio.sleep(0.01)
                connection = None
                while connection is None:
                    connection = await admin.consumer_connection(group, name)
                assert connection.subscriptions[name] == "a || b"
                assert connection.connections[0].client_id == cluster.client_id
            reset = await admin.reset_offset(group, name, 0)
            assert set(reset.values()) == {0}
            await admin.delete_group(group)
            await admin.delete_topic(name)
            assert name not in await admin.topics()
            with pytest.raises(ferrocket.NoRouteError):
                await admin.topic_route(name)

    run(work())


def test_workers_wait_side_by_side(run: Run[None], client: MakeClient, topic: str, group: str) -> None:
    """A worker that asks for more just when a batch has arrived neither misses it nor spins."""

    async def work() -> None:
        async with client() as cluster, cluster.producer(f"{group}-p") as producer:
            seen = 0
            all_seen = asyncio.Event()

            async def handle(_: ferrocket.Delivery) -> None:
                nonlocal seen
                seen += 1
                if seen == 300:
                    all_seen.set()
                for _turn in range(seen % 7):
                    await asyncio.sleep(0)

            async with cluster.push_consumer(group, {topic: "*"}, **FROM_FIRST) as consumer:
                handling = asyncio.create_task(consumer.run(handle, concurrency=8))
                for i in range(300):
                    pending = producer.enqueue(Message(topic, f"m{i}"))
                    if i % 3 == 0:
                        await pending
                await all_seen.wait()
            await handling

    run(work())
