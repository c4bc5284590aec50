"""Sends messages and consumes them, without asyncio.

Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876): `python plain_script.py`
"""

import os

from ferrocket import Message
from ferrocket.sync import Client

NAMESRV_ADDR = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")


def main() -> None:
    # ANCHOR: program
    with Client(NAMESRV_ADDR) as client:
        with client.producer("example-python") as producer:
            for i in range(10):
                sent = producer.send(Message("TopicTest", f"Hello {i}"))
                print(f"stored as {sent.msg_id} in {sent.message_queue}")

        with client.lite_pull_consumer(
            "example-python-script", {"TopicTest": "*"}, consume_from_where="CONSUME_FROM_FIRST_OFFSET"
        ) as consumer:
            number = 0
            while number < 10:
                for message in consumer.poll(timeout=5.0):
                    print(f"{message.msg_id}: {message.text}")
                    number += 1
            consumer.commit()
    # ANCHOR_END: program


if __name__ == "__main__":
    main()
