"""A web service that sends a message for each order and consumes them in the background.

Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876): `uvicorn fastapi_app:app`
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from ferrocket import Client, Delivery, FerrocketError, Message, Producer

NAMESRV_ADDR = os.environ.get("NAMESRV_ADDR", "127.0.0.1:9876")

shipped: list[str] = []


# ANCHOR: app
@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the life of the service; what it started ends with it, in order."""
    async with (
        Client(NAMESRV_ADDR) as client,
        client.producer("shop") as producer,
        client.push_consumer("shipping", {"Orders": "*"}) as consumer,
    ):
        app.state.producer = producer
        shipping = asyncio.create_task(consumer.run(ship, concurrency=8))
        yield
        await consumer.close()
        await shipping


async def ship(delivery: Delivery) -> None:
    """Its return acknowledges, its exception brings the message again later."""
    shipped.append(delivery.text)


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{order}")
async def create(order: str) -> dict[str, str]:
    producer: Producer = app.state.producer
    try:
        sent = await producer.send(Message("Orders", order, keys=order))
    except FerrocketError as error:
        raise HTTPException(503 if error.retryable else 400, str(error)) from error
    return {"msg_id": sent.msg_id}


# ANCHOR_END: app


@app.get("/shipped")
async def list_shipped() -> list[str]:
    return shipped
