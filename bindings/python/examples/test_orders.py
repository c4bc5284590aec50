"""Tests with a broker in their own process: `pytest test_orders.py`"""

from ferrocket import Message, MessageSelector
from ferrocket.sync import Client
from ferrocket.testing import Broker


# ANCHOR: fixture
def test_an_order_is_sent(ferrocket_broker: Broker) -> None:
    with Client(ferrocket_broker.namesrv_addr) as client, client.producer("orders") as producer:
        assert producer.send(Message("Orders", "paid")).is_ok


# ANCHOR_END: fixture


# ANCHOR: broker
def test_large_orders_are_reviewed_after_two_hours() -> None:
    with Broker(enablePropertyFilter=True) as broker, Client(broker.namesrv_addr) as client:
        with client.producer("orders") as producer:
            for amount in ("20", "2000"):
                order = Message("Orders", amount, properties={"amount": amount}, delay_level=18)
                assert producer.send(order).is_ok
        large = {"Orders": MessageSelector.by_sql("amount > 1000")}
        with client.push_consumer(
            "reviews", large, consume_from_where="CONSUME_FROM_FIRST_OFFSET"
        ) as consumer:
            broker.advance(2 * 60 * 60)
            with next(iter(consumer)) as order_to_review:
                assert order_to_review.text == "2000"


# ANCHOR_END: broker
