"""A whole cluster in the test's own process: a NameServer and a Broker on free ports, with the store in memory.

```python
from ferrocket.testing import Broker

with Broker() as broker, ...:
    client = ferrocket.Client(broker.namesrv_addr)
```

Topics and groups come into being with their first use. pytest has it as the fixture `ferrocket_broker`.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from ferrocket import _core, _logs
from ferrocket._values import pairs


class Broker:
    """A running NameServer and Broker; `with Broker()`, or `async with Broker()`."""

    def __init__(self, **settings: str | int | bool) -> None:
        """Settings are the Broker's by their Java names, for instance `messageDelayLevel="1s 2s"`."""
        _logs.start()
        self._core = _core.Broker(pairs(settings))

    @property
    def namesrv_addr(self) -> str:
        """Where the NameServer listens, `127.0.0.1:port`."""
        return self._core.namesrv_addr

    def advance(self, seconds: float) -> None:
        """Turns the Broker's clock on: delayed messages and retries that are due then are delivered now."""
        self._core.advance(seconds)

    def close(self) -> None:
        """Stops both; further calls have no effect."""
        self._core.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)
