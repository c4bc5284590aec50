"""Exceptions, one for each kind of error.

Written by client/tests/it/generated.rs from the client's tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ferrocket._core import Message


class FerrocketError(Exception):
    """Anything that went wrong in this package."""

    kind: ClassVar[str] = ""
    """The name of the kind, the same in all languages."""

    code: int | None
    """The server's response code, if a server answered."""

    remark: str | None
    """The server's remark, word for word."""

    addr: str | None
    """The address that was talked to."""

    retryable: bool
    """Whether the same call may succeed later without any change by the caller."""

    unsent: list[Message]
    """The messages of a failed send, as they were handed in.

    After a timeout and a lost connection a broker may have stored them all the same.
    """

    def __init__(
        self,
        text: str = "",
        code: int | None = None,
        remark: str | None = None,
        addr: str | None = None,
        retryable: bool = False,
        unsent: Sequence[Message] = (),
    ) -> None:
        super().__init__(text)
        self.code = code
        self.remark = remark
        self.addr = addr
        self.retryable = retryable
        self.unsent = list(unsent)


class ConfigError(FerrocketError, ValueError):
    """A setting, a group or a topic name that cannot work. Trying again does not help."""

    kind = "Config"


class ClosedError(FerrocketError):
    """The client, producer or consumer was shut down."""

    kind = "Closed"


class NoRouteError(FerrocketError):
    """No NameServer knows a route for the topic."""

    kind = "NoRoute"


class NoBrokerError(FerrocketError):
    """The route names a broker that has no master address at present."""

    kind = "NoBroker"


class ConnectError(FerrocketError, ConnectionError):
    """No connection to the address, or it was lost. A message may have been stored nevertheless."""

    kind = "Connect"


class RequestTimeoutError(FerrocketError, TimeoutError):
    """No answer in time. A message may have been stored nevertheless."""

    kind = "Timeout"


class FlowControlError(FerrocketError):
    """A limit of this client is reached, or the server asked to slow down."""

    kind = "FlowControl"


class BrokerError(FerrocketError):
    """The server answered with an error code."""

    kind = "Broker"


class InvalidMessageError(FerrocketError, ValueError):
    """The message breaks a rule and was not sent."""

    kind = "InvalidMessage"


class ProtocolError(FerrocketError):
    """An answer that cannot be read."""

    kind = "Protocol"


class IoError(FerrocketError, OSError):
    """A local file, or a local port."""

    kind = "Io"


class InternalError(FerrocketError):
    """A fault of this client itself, such as a panic. It goes on; what was under way may not have
    happened."""

    kind = "Internal"


BY_KIND: dict[str, type[FerrocketError]] = {
    "Config": ConfigError,
    "Closed": ClosedError,
    "NoRoute": NoRouteError,
    "NoBroker": NoBrokerError,
    "Connect": ConnectError,
    "Timeout": RequestTimeoutError,
    "FlowControl": FlowControlError,
    "Broker": BrokerError,
    "InvalidMessage": InvalidMessageError,
    "Protocol": ProtocolError,
    "Io": IoError,
    "Internal": InternalError,
}
"""The exceptions by the names of their kinds."""

__all__ = [
    "BY_KIND",
    "BrokerError",
    "ClosedError",
    "ConfigError",
    "ConnectError",
    "FerrocketError",
    "FlowControlError",
    "InternalError",
    "InvalidMessageError",
    "IoError",
    "NoBrokerError",
    "NoRouteError",
    "ProtocolError",
    "RequestTimeoutError",
]
