"""How completions come from the core into an event loop.

```text
op.start(port, token) -> a task of the core -> (token, outcome) in the port's queue -> its descriptor is readable
loop.add_reader       -> drain(): everything that is there -> the future with that token
```

The core's threads never take the interpreter's lock: they fill a queue and write to a descriptor. One wake-up
brings whatever has come together meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from ferrocket import _core
from ferrocket._errors import ClosedError

T = TypeVar("T")


class Bridge:
    """The futures of one client in one event loop."""

    __slots__ = ("_next", "_waiting", "loop", "port")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.port = _core.Port()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        loop.add_reader(self.port.fileno(), self._arrived)

    def slot(self) -> tuple[asyncio.Future[Any], int]:
        """A future, and the token that completes it."""
        self._next = token = self._next + 1
        future = self.loop.create_future()
        self._waiting[token] = future
        return future, token

    def forget(self, token: int) -> None:
        """Gives a slot up whose operation did not start."""
        self._waiting.pop(token, None)

    def run(self, op: _core.Op[T]) -> asyncio.Future[T]:
        """Starts an operation; the future has its outcome. Cancelling the future does not stop the operation."""
        future, token = self.slot()
        try:
            op.start(self.port, token)
        except BaseException:
            self.forget(token)
            raise
        return future

    def _arrived(self) -> None:
        waiting = self._waiting
        for token, done, outcome in self.port.drain():
            future = waiting.pop(token, None)
            if future is None or future.done():
                continue
            if done:
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

    def close(self) -> None:
        """Ends what still waits."""
        if not self.loop.is_closed():
            self._arrived()
            self.loop.remove_reader(self.port.fileno())
        for future in self._waiting.values():
            if not future.done() and not self.loop.is_closed():
                future.set_exception(ClosedError("the client is shut down"))
        self._waiting.clear()
