"""Each example runs, and prints what it should."""

import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
from conftest import LIMIT, create_topic
from ferrocket.sync import Client
from ferrocket.testing import Broker

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


@pytest.fixture
def environment() -> Any:
    with Broker() as broker:
        with Client(broker.namesrv_addr) as cluster:
            for topic in ("TopicTest", "OrderSteps", "Questions", "Orders"):
                create_topic(cluster, topic)
        path = os.pathsep.join([str(EXAMPLES), *filter(None, [os.environ.get("PYTHONPATH")])])
        yield os.environ | {"NAMESRV_ADDR": broker.namesrv_addr, "PYTHONPATH": path}


def run(environment: Any, *command: str) -> str:
    ended = subprocess.run(
        [sys.executable, *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == 0, ended
    return ended.stdout


def test_the_first_program_sends(environment: Any) -> None:
    assert " is number 0 of queue " in run(environment, str(EXAMPLES / "first.py"))


@pytest.mark.parametrize("example", ["asyncio_program.py", "plain_script.py"])
def test_programs_send_and_consume(environment: Any, example: str) -> None:
    lines = run(environment, str(EXAMPLES / example)).splitlines()
    assert sum(": Hello" in line for line in lines) == 10, lines


def test_every_kind_of_message_has_an_example(environment: Any) -> None:
    lines = run(environment, str(EXAMPLES / "every_kind.py")).splitlines()
    assert "deliveries: o-42 is charged" in lines
    assert "ordered: ['created', 'paid', 'shipped']" in lines
    assert "terms: 1 queue, SEND_OK" in lines
    assert "transaction: COMMIT_MESSAGE" in lines
    assert "request: WHO IS THERE?" in lines


def test_tests_have_a_broker(environment: Any) -> None:
    file = str(EXAMPLES / "test_orders.py")
    assert "2 passed" in run(environment, "-m", "pytest", "-p", "no:cacheprovider", file)


def test_a_web_service_sends_and_ships(environment: Any) -> None:
    program = """
import time
from fastapi.testclient import TestClient
from fastapi_app import app

with TestClient(app) as web:
    # The consumer of a new group begins with what comes from now on.
    orders, shipped = 0, []
    while not shipped:
        assert "msg_id" in web.post(f"/orders/o-{orders}").json()
        orders += 1
        time.sleep(0.05)
        shipped = web.get("/shipped").json()
print(shipped[0])
"""
    assert run(environment, "-c", program).startswith("o-")
