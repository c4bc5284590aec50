"""One command of the C++ peer, in a process of its own: see driver.py.

Arguments: ID ROLE --OPTION VALUE …; the end of standard input is the command's `stop`.
"""

import os
import sys
import threading
import time
from ctypes import c_char_p, c_void_p

from rocketmq.client import Message, Producer, PushConsumer, RecvMessage
from rocketmq.exceptions import RocketMQException, ffi_check
from rocketmq.ffi import MessageModel, _CConsumeStatus, dll

# In the library, but not declared by the Python layer.
dll.SetProducerInstanceName.argtypes = [c_void_p, c_char_p]

STATUS = {
    0: "SEND_OK",
    1: "FLUSH_DISK_TIMEOUT",
    2: "FLUSH_SLAVE_TIMEOUT",
    3: "SLAVE_NOT_AVAILABLE",
}
STDOUT = threading.Lock()


def say(ident, *fields):
    line = "\t".join([ident, *map(str, fields)])
    with STDOUT:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def make(options, body):
    message = Message(options["--topic"])
    message.set_body(body)
    if options.get("--tag"):
        message.set_tags(options["--tag"])
    if options.get("--delay-level"):
        message.set_delay_time_level(int(options["--delay-level"]))
    return message


def sign(client, options):
    if options.get("--access-key"):
        client.set_session_credentials(options["--access-key"], options["--secret-key"], "")


def sent(ident, body, result, step=0):
    # The C interface tells the offset but not the queue.
    say(ident, "SENT", body, STATUS.get(int(result.status), "UNKNOWN"), result.msg_id, "-", result.offset + step)


def patiently(call, *args):
    """Repeats a call that gave up before it sent anything: the library fails at once while another
    of its threads is still connecting to the broker."""
    for _ in range(20):
        try:
            return call(*args)
        except RocketMQException as error:
            if "No route info" not in str(error):
                raise
            time.sleep(0.1)
    return call(*args)


def send(ident, options, stop):
    producer = Producer(options["--group"])
    producer.set_namesrv_addr(options["--namesrv"])
    producer.set_timeout(10_000)
    dll.SetProducerInstanceName(producer._handle, f"i{ident}".encode())
    sign(producer, options)
    producer.start()
    mode, prefix = options.get("--mode", "sync"), options["--prefix"]
    count, interval = int(options["--count"]), int(options.get("--interval-ms", "0")) / 1000
    answers = threading.Semaphore(0)
    asked = 0
    batch, keep = [], []
    try:
        for i in range(count):
            body = f"{prefix}-{i % 4}-{i // 4}" if mode == "orderly" else f"{prefix}-{i}"
            message = make(options, body)
            if mode == "sync" or (mode == "oneway" and i == 0):
                # The library drops oneway messages without a word while another of its threads is still connecting:
                # the first one is awaited.
                sent(ident, body, patiently(producer.send_sync, message))
            elif mode == "async":
                keep.append(message)  # the callback may come after this turn of the loop

                def success(result, body=body):
                    sent(ident, body, result)
                    answers.release()

                def failure(error, body=body):
                    say(ident, "SENT", body, f"EXCEPTION {error}")
                    answers.release()

                producer.send_async(message, success, failure)
                asked += 1
            elif mode == "oneway":
                patiently(producer.send_oneway, message)
                say(ident, "SENT", body, "ONEWAY")
            elif mode == "orderly":
                sent(ident, body, patiently(producer.send_orderly, message, i % 4))
            elif mode == "batch":
                batch.append((body, message))
                if len(batch) == 16 or i == count - 1:
                    result = patiently(producer.send_batch, [m for _, m in batch])
                    for step, (one, _) in enumerate(batch):
                        sent(ident, one, result, step)
                    batch = []
            else:
                raise ValueError(f"unknown mode {mode}")
            if stop.wait(interval) if interval else stop.is_set():
                break
        for _ in range(asked):
            if not answers.acquire(timeout=30):
                raise TimeoutError("asynchronous sends without an answer")
        if "--stay" in options:
            stop.wait()
        say(ident, "DONE")
    finally:
        producer.shutdown()


def consume(ident, options, stop):
    mode = options.get("--mode", "concurrent")
    model = MessageModel.BROADCASTING if mode == "broadcast" else MessageModel.CLUSTERING
    consumer = PushConsumer(options["--group"], orderly=mode == "orderly", message_model=model)
    consumer.set_namesrv_addr(options["--namesrv"])
    consumer.set_instance_name(f"i{ident}")
    consumer.set_thread_count(4)
    sign(consumer, options)
    fail_times = int(options.get("--fail-times", "0"))
    deliveries, lock = {}, threading.Lock()

    def accept(_, handle):
        message = RecvMessage(handle)
        body = message.body.decode()
        tags = message.tags.decode() if message.tags else "-"
        age = int(time.time() * 1000) - message.born_timestamp
        say(ident, "RECV", body, message.queue_id, message.queue_offset, message.reconsume_times, tags, age)
        with lock:
            deliveries[body] = deliveries.get(body, 0) + 1
            ok = deliveries[body] > fail_times
        return (_CConsumeStatus.CONSUME_SUCCESS if ok else _CConsumeStatus.RECONSUME_LATER).value

    # Not `consumer.subscribe`: it raises out of the foreign callback after a failure, and the
    # library then reads success.
    topic, expression = options["--topic"].encode(), options.get("--expression", "*").encode()
    ffi_check(dll.Subscribe(consumer._handle, topic, expression))
    consumer._register_callback(accept)
    consumer.start()
    say(ident, "READY")
    stop.wait()
    consumer.shutdown()
    say(ident, "STOPPED")


def main(ident, role, *words):
    options, stop = dict(zip(words[::2], words[1::2])), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    try:
        if role == "send":
            send(ident, options, stop)
        elif role == "consume":
            consume(ident, options, stop)
        else:
            raise ValueError(f"unknown command {role}")
    except Exception as error:  # every failure must reach the harness
        say(ident, "ERROR", " ".join(f"{type(error).__name__}: {error}".split()))
    os._exit(0)  # without the library's static destructors, which may hang


if __name__ == "__main__":
    main(*sys.argv[1:])
