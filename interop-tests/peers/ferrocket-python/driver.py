"""Our Python package behind the line protocol of ../README.md.

Each command is a task with a client of its own; the admin commands are left out.
"""

import asyncio
import sys
import time
from collections import Counter
from typing import Any

import ferrocket
from ferrocket import Client, LocalTransactionState, Message, MessageExt, MessageSelector

# Keys of mode `orderly`, each with a queue of its own; messages of a batch.
KEYS = 4
BATCH = 16
# What the producer lets pass: more than a broker takes.
MESSAGE_MAX = 15 << 20
REQUEST_LIMIT = 30.0
# How often an answer is tried, and what is between two tries.
ANSWER_TRIES = 80
ANSWER_PAUSE = 0.25
# How long commands may take to end when the harness is gone.
END_LIMIT = 10.0


def say(ident: str, *fields: object) -> None:
    sys.stdout.write("\t".join([ident, *map(str, fields)]) + "\n")
    sys.stdout.flush()


class Command:
    def __init__(self, ident: str, options: dict[str, str]) -> None:
        self.ident = ident
        self.options = options
        self.stopped = asyncio.Event()
        self.deliveries: Counter[str] = Counter()

    async def run(self, role: str) -> None:
        try:
            roles = {"send": self.send, "consume": self.consume, "reply": self.reply}
            await roles[role]()
        except Exception as error:
            say(self.ident, "ERROR", f"{type(error).__name__}: {error}".translate({9: " ", 10: " ", 13: " "}))
        else:
            say(self.ident, "DONE" if role == "send" else "STOPPED")

    def client(self) -> Client:
        settings: dict[str, Any] = {"instance_name": f"i{self.ident}"}
        for option, setting in [
            ("--access-key", "access_key"),
            ("--secret-key", "secret_key"),
            ("--namespace", "namespace"),
            ("--unit", "unit_name"),
            ("--ca", "tls_client_trust_cert_path"),
            ("--certificate", "tls_client_cert_path"),
            ("--key", "tls_client_key_path"),
        ]:
            if option in self.options:
                settings[setting] = self.options[option]
        settings["unit_mode"] = "--unit" in self.options
        if "--ca" in self.options:
            settings |= {"use_tls": True, "tls_client_auth_server": True, "tls_client_any_host_name": True}
        return Client(self.options["--namesrv"], enable_trace="--trace" in self.options, **settings)

    def producing(self) -> dict[str, Any]:
        return {
            "send_msg_timeout": 10_000,
            "compress_msg_body_over_howmuch": MESSAGE_MAX,
            "max_message_size": MESSAGE_MAX,
        }

    def sent(self, body: str, result: ferrocket.SendResult, step: int = 0) -> None:
        queue = result.message_queue.queue_id
        say(self.ident, "SENT", body, result.status, result.msg_id, queue, result.queue_offset + step)

    async def stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self.stopped.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def send(self) -> None:
        options, mode = self.options, self.options.get("--mode", "sync")
        if mode == "transaction":
            return await self.send_in_transaction()
        topic, prefix, count = options["--topic"], options["--prefix"], int(options["--count"])
        length, interval = int(options.get("--length", 0)), int(options.get("--interval-ms", 0)) / 1000
        level = int(options.get("--delay-level", 0))
        batch: list[tuple[str, Message]] = []
        pending: list[tuple[str, asyncio.Future[ferrocket.SendResult]]] = []
        async with (
            self.client() as client,
            client.producer(options["--group"], **self.producing()) as producer,
        ):
            for i in range(count):
                body = f"{prefix}-{i % KEYS}-{i // KEYS}" if mode == "orderly" else f"{prefix}-{i}"
                message = Message(
                    topic, body.ljust(length, "."), tags=options.get("--tag"), delay_level=level
                )
                if mode == "sync":
                    self.sent(body, await producer.send(message))
                elif mode == "async":
                    pending.append((body, producer.enqueue(message)))
                elif mode == "oneway":
                    await producer.send_oneway(message)
                    say(self.ident, "SENT", body, "ONEWAY")
                elif mode == "orderly":
                    # Java's hash of the key picks the queue.
                    self.sent(body, await producer.send_ordered(message, str(i % KEYS)))
                elif mode == "request":
                    answer = await producer.request(message, timeout=REQUEST_LIMIT)
                    say(self.ident, "SENT", body, "SEND_OK")
                    say(self.ident, "RECV", answer.text, 0, 0, 0, "-")
                elif mode == "batch":
                    batch.append((body, message))
                    if len(batch) == BATCH or i + 1 == count:
                        result = await producer.send_batch(one for _, one in batch)
                        for step, (body, _) in enumerate(batch):
                            self.sent(body, result, step)
                        batch.clear()
                else:
                    raise ValueError(f"unknown mode {mode}")
                if self.stopped.is_set() or (interval and await self.stopped_within(interval)):
                    break
            for body, receipt in pending:
                self.sent(body, await receipt)
            if "--stay" in options:
                await self.stopped.wait()

    async def send_in_transaction(self) -> None:
        local, checked = (LocalTransactionState(self.options[name]) for name in ("--local", "--check"))

        def check(message: MessageExt) -> LocalTransactionState:
            say(self.ident, "TOLD", "checked", message.text)
            return checked

        options = self.options
        async with (
            self.client() as client,
            client.transaction_producer(options["--group"], check, **self.producing()) as producer,
        ):
            for i in range(int(options["--count"])):
                body = f"{options['--prefix']}-{i}"
                done = await producer.send_in_transaction(Message(options["--topic"], body), lambda _: local)
                # The offset it is told is the half message's.
                say(self.ident, "SENT", body, done.sent.status, done.sent.msg_id, "-", "-")
            await self.stopped.wait()

    def accept(self, message: MessageExt) -> bool:
        """Reports a delivery and decides whether it succeeds."""
        body = message.text
        if "--length" in self.options:
            bare = body.rstrip(".")
            # Nobody sent a body of another length: the ledger will say so.
            body = bare if len(body) == int(self.options["--length"]) else f"{bare}!{len(body)}"
        age = int(time.time() * 1000) - message.born_timestamp
        place = message.queue_id, message.queue_offset, message.reconsume_times
        say(self.ident, "RECV", body, *place, message.tags or "-", age)
        self.deliveries[body] += 1
        return self.deliveries[body] > int(self.options.get("--fail-times", 0))

    def selector(self) -> MessageSelector | str:
        condition = self.options.get("--sql")
        return MessageSelector.by_sql(condition) if condition else self.options.get("--expression", "*")

    async def consume(self) -> None:
        options, mode = self.options, self.options.get("--mode", "concurrent")
        settings: dict[str, Any] = {"consume_from_where": "CONSUME_FROM_FIRST_OFFSET"}
        what = options["--group"], {options["--topic"]: self.selector()}
        async with self.client() as client:
            if mode == "lite":
                async with client.lite_pull_consumer(*what, auto_commit=False, **settings) as polled:
                    say(self.ident, "READY")
                    while not self.stopped.is_set():
                        messages = await polled.poll(0.2)
                        for message in messages:
                            self.accept(message)
                        if messages:
                            await polled.commit()
                return
            if "--max-reconsume" in options:
                settings["max_reconsume_times"] = int(options["--max-reconsume"])
            if mode == "broadcast":
                settings["message_model"] = "BROADCASTING"
            if mode == "orderly":
                async with client.orderly_consumer(*what, **settings) as orderly:
                    say(self.ident, "READY")
                    working = asyncio.create_task(orderly.run(self.handle_orderly))
                    await self.stopped.wait()
                await working
                return
            async with client.push_consumer(*what, **settings) as consumer:
                say(self.ident, "READY")
                working = asyncio.create_task(consumer.run(self.handle, concurrency=4))
                await self.stopped.wait()
            await working

    def handle(self, delivery: ferrocket.Delivery) -> None:
        if not self.accept(delivery):
            delivery.retry_later()

    def handle_orderly(self, batch: ferrocket.OrderlyBatch) -> None:
        if not all([self.accept(message) for message in batch]):
            batch.suspend()

    async def reply(self) -> None:
        """Answers requests: each is a delivery, each answer a send of `re-` and the request's body."""
        options = self.options
        async with self.client() as client, client.producer(f"answers-{self.ident}") as producer:

            async def answer(request: ferrocket.Delivery) -> None:
                self.accept(request)
                body = f"re-{request.text}"
                # The Broker does not know an asker that has sent no heartbeat yet.
                for left in reversed(range(ANSWER_TRIES)):
                    try:
                        sent = await producer.send(request.reply(body))
                    except ferrocket.FerrocketError as error:
                        print(f"{self.ident}: {error}", file=sys.stderr)
                        if not left:
                            raise
                        if await self.stopped_within(ANSWER_PAUSE):
                            return
                    else:
                        say(self.ident, "SENT", body, sent.status)
                        return

            async with client.push_consumer(
                options["--group"],
                {options["--topic"]: "*"},
                consume_from_where="CONSUME_FROM_FIRST_OFFSET",
            ) as consumer:
                say(self.ident, "READY")
                working = asyncio.create_task(consumer.run(answer))
                await self.stopped.wait()
            await working


async def main() -> None:
    running: dict[str, Command] = {}
    tasks: set[asyncio.Task[None]] = set()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        ident, role, *words = line.decode().rstrip("\n").split("\t")
        if role == "stop":
            if ident in running:
                running.pop(ident).stopped.set()
            continue
        command = running[ident] = Command(ident, dict(zip(words[::2], words[1::2], strict=True)))
        tasks.add(asyncio.create_task(command.run(role)))
    for command in running.values():
        command.stopped.set()
    if tasks:
        await asyncio.wait(tasks, timeout=END_LIMIT)


if __name__ == "__main__":
    asyncio.run(main())
