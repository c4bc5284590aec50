"""Client for Apache RocketMQ compatible clusters.

```python
import asyncio
import ferrocket

async def main() -> None:
    async with ferrocket.Client("127.0.0.1:9876") as client, client.producer("order-service") as producer:
        print(await producer.send(ferrocket.Message("Orders", "paid", tags="vip", keys="o-42")))

asyncio.run(main())
```

`Client` is for asyncio (uvloop included); `ferrocket.sync` has the same without. `ferrocket.testing` has a broker for
tests.
"""

from ferrocket._aio import (
    Admin,
    Client,
    LitePullConsumer,
    OrderlyConsumer,
    Producer,
    PushConsumer,
    TransactionProducer,
)
from ferrocket._core import (
    Delivery,
    Message,
    MessageExt,
    MessageQueue,
    OrderlyBatch,
    SendResult,
    Transaction,
    TransactionSendResult,
    __version__,
)
from ferrocket._errors import (
    BrokerError,
    ClosedError,
    ConfigError,
    ConnectError,
    FerrocketError,
    FlowControlError,
    InternalError,
    InvalidMessageError,
    IoError,
    NoBrokerError,
    NoRouteError,
    ProtocolError,
    RequestTimeoutError,
)
from ferrocket._logs import set_level as set_log_level
from ferrocket._values import (
    BrokerData,
    Connected,
    Connection,
    ConsumeOffset,
    ConsumerConnection,
    Disconnected,
    Event,
    FlowControl,
    LocalTransactionState,
    MessageSelector,
    Missed,
    QueueData,
    Rebalanced,
    RouteChanged,
    SendTerms,
    SlowHandler,
    Subscriptions,
    TopicOffset,
    TopicRoute,
)

__all__ = [
    "Admin",
    "BrokerData",
    "BrokerError",
    "Client",
    "ClosedError",
    "ConfigError",
    "ConnectError",
    "Connected",
    "Connection",
    "ConsumeOffset",
    "ConsumerConnection",
    "Delivery",
    "Disconnected",
    "Event",
    "FerrocketError",
    "FlowControl",
    "FlowControlError",
    "InternalError",
    "InvalidMessageError",
    "IoError",
    "LitePullConsumer",
    "LocalTransactionState",
    "Message",
    "MessageExt",
    "MessageQueue",
    "MessageSelector",
    "Missed",
    "NoBrokerError",
    "NoRouteError",
    "OrderlyBatch",
    "OrderlyConsumer",
    "Producer",
    "ProtocolError",
    "PushConsumer",
    "QueueData",
    "Rebalanced",
    "RequestTimeoutError",
    "RouteChanged",
    "SendResult",
    "SendTerms",
    "SlowHandler",
    "Subscriptions",
    "TopicOffset",
    "TopicRoute",
    "Transaction",
    "TransactionProducer",
    "TransactionSendResult",
    "__version__",
    "set_log_level",
]
