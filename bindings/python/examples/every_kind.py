"""Every kind of message, one function for each. Run it with a cluster at hand: `python every_kind.py`"""

import asyncio
import os
from datetime import timedelta

from ferrocket import Client, LocalTransactionState, Message, MessageExt, Transaction

NAMESRV_ADDR = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")


async def charge(order: str) -> None:
    print(f"deliveries: {order} is charged")


async def deliveries(client: Client) -> None:
    async with client.producer("example-orders") as producer:
        await producer.send(Message("Orders", "o-42"))
    async with client.push_consumer(
        "example-charging", {"Orders": "*"}, consume_from_where="CONSUME_FROM_FIRST_OFFSET"
    ) as consumer:
        # ANCHOR: deliveries
        async for delivery in consumer:
            with delivery:
                await charge(delivery.text)
            # ANCHOR_END: deliveries
            break


async def ordered(client: Client) -> None:
    # ANCHOR: ordered
    async with client.producer("example-ordered") as producer:
        for step in ("created", "paid", "shipped"):
            await producer.send_ordered(Message("OrderSteps", step), "customer-7")
    seen: list[str] = []
    async with client.orderly_consumer(
        "example-orderly", {"OrderSteps": "*"}, consume_from_where="CONSUME_FROM_FIRST_OFFSET"
    ) as consumer:
        async for batch in consumer:
            with batch:  # The queue's next messages come after this.
                seen += [message.text for message in batch]
            if len(seen) == 3:
                break
    # ANCHOR_END: ordered
    print(f"ordered: {seen}")


async def terms(client: Client) -> None:
    # ANCHOR: terms
    async with client.producer("example-terms") as producer:
        steps = [
            producer.enqueue(Message("TermsTopic", step), ordered_by="order-7")
            for step in ("created", "paid", "shipped")
        ]
        receipts = await asyncio.gather(*steps)
        queue = receipts[0].message_queue
        sent = await producer.send(Message("TermsTopic", "archived"), queue=queue, timeout=10.0)
    # ANCHOR_END: terms
    print(f"terms: {len({receipt.message_queue for receipt in receipts})} queue, {sent.status}")


async def batch(client: Client) -> None:
    async with client.producer("example-batch") as producer:
        sent = await producer.send_batch(Message("TopicTest", f"part {i}") for i in range(3))
        print(f"batch: {len(sent.msg_id.split(','))} messages in {sent.message_queue}")


async def delayed(client: Client) -> None:
    async with client.producer("example-delayed") as producer:
        await producer.send(Message("TopicTest", "in a second", delay_level=1))
        # Brokers from 5.0 on wait for any time.
        await producer.send(Message("TopicTest", "in two", deliver_after=timedelta(seconds=2)))
        print("delayed: sent")


async def oneway(client: Client) -> None:
    async with client.producer("example-oneway") as producer:
        await producer.send_oneway(Message("TopicTest", "it may get lost"))
        print("oneway: sent")


async def transaction(client: Client) -> None:
    # ANCHOR: transaction
    async def book(transaction: Transaction) -> LocalTransactionState:
        print(f"transaction: booked {transaction.transaction_id is not None}")
        return LocalTransactionState.COMMIT

    async def check(message: MessageExt) -> LocalTransactionState:
        """Asked by the broker about a transaction whose end it missed."""
        return LocalTransactionState.COMMIT

    async with client.transaction_producer("example-transaction", check) as producer:
        result = await producer.send_in_transaction(Message("TopicTest", "booked"), book)
        print(f"transaction: {result.local_transaction_state}")
    # ANCHOR_END: transaction


async def request_reply(client: Client) -> None:
    await client.admin.create_topic("Questions", 4)
    # ANCHOR: request_reply
    async with (
        client.producer("example-asks") as producer,
        client.push_consumer(
            "example-answers", {"Questions": "*"}, consume_from_where="CONSUME_FROM_FIRST_OFFSET"
        ) as consumer,
    ):

        async def answer() -> None:
            async for question in consumer:
                with question:
                    await producer.send(question.reply(question.text.upper()))

        answering = asyncio.create_task(answer())
        reply = await producer.request(Message("Questions", "who is there?"), timeout=20.0)
        print(f"request: {reply.text}")
    # ANCHOR_END: request_reply
    await answering


async def main() -> None:
    async with Client(NAMESRV_ADDR) as client:
        for kind in (deliveries, ordered, terms, batch, delayed, oneway, transaction, request_reply):
            await kind(client)


if __name__ == "__main__":
    asyncio.run(main())
