import asyncio

from ferrocket import Client, Message


async def main() -> None:
    # The NameServers that the environment's NAMESRV_ADDR names; or Client("host:port;host:port").
    async with Client() as client, client.producer("order-service") as producer:
        sent = await producer.send(Message("Orders", "paid", tags="vip", keys="o-42"))
        print(f"{sent.msg_id} is number {sent.queue_offset} of queue {sent.message_queue.queue_id}")


asyncio.run(main())
