"""Sends messages and consumes them as they come, with asyncio.

Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876): `python asyncio_program.py`
"""

import asyncio
import os

from ferrocket import Client, Message

NAMESRV_ADDR = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")


# ANCHOR: program
async def main() -> None:
    async with Client(NAMESRV_ADDR) as client:
        async with client.producer("example-python") as producer:
            sent = await producer.send(Message("TopicTest", "Hello", tags="TagA", keys="o-42"))
            print(f"stored as {sent.msg_id} in {sent.message_queue}")
            # Many at once: messages leave in the order of the calls, receipts come when they come.
            await asyncio.gather(*(producer.enqueue(Message("TopicTest", f"Hello {i}")) for i in range(9)))

        settings = client.push_consumer(
            "example-python-consumer", {"TopicTest": "*"}, consume_from_where="CONSUME_FROM_FIRST_OFFSET"
        )
        async with settings as consumer:
            number = 0
            async for delivery in consumer:
                with delivery:  # Acknowledges; after an exception the message comes again later.
                    print(f"{delivery.msg_id}: {delivery.text}")
                number += 1
                if number == 10:
                    break


# ANCHOR_END: program

if __name__ == "__main__":
    asyncio.run(main())
