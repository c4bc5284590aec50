"""Values that are made in Python: selectors, states, events, and what administration answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, TypedDict

from ferrocket._core import MessageQueue
from ferrocket._errors import ConfigError
from ferrocket._settings import KEYS


@dataclass(frozen=True, slots=True)
class MessageSelector:
    """Which messages of a topic are wanted. A plain text in its place selects by tags."""

    expression: str
    expression_type: Literal["TAG", "SQL92"] = "TAG"

    @classmethod
    def all(cls) -> MessageSelector:
        """Every message."""
        return cls("*")

    @classmethod
    def by_tag(cls, tags: str) -> MessageSelector:
        """Messages with one of these tags, `||` between them; `*` for every message."""
        return cls(tags)

    @classmethod
    def by_sql(cls, condition: str) -> MessageSelector:
        """Messages whose properties satisfy an SQL92 condition; brokers need `enablePropertyFilter=true`."""
        return cls(condition, "SQL92")


Subscriptions = Mapping[str, str | MessageSelector]
"""Topics, each with the messages that are wanted of it."""


def selector(wanted: str | MessageSelector) -> tuple[str, bool]:
    """An expression, and whether it is SQL92."""
    if isinstance(wanted, str):
        return wanted, False
    if not isinstance(wanted, MessageSelector):
        raise TypeError(f"a subscription is a str or a MessageSelector, not {type(wanted).__name__}")
    if wanted.expression_type not in ("TAG", "SQL92"):
        raise ConfigError(f"an expression type is TAG or SQL92, not {wanted.expression_type}")
    return wanted.expression, wanted.expression_type == "SQL92"


def subscribed(subscriptions: Subscriptions) -> list[tuple[str, str, bool]]:
    """What the core is given for subscriptions."""
    if not isinstance(subscriptions, Mapping):
        raise TypeError(f"subscriptions are a mapping of topics, not {type(subscriptions).__name__}")
    return [(topic, *selector(wanted)) for topic, wanted in subscriptions.items()]


class SendTerms(TypedDict, total=False):
    """Keyword arguments of one send. A message with a queue, or a key that orders it, is tried once."""

    queue: MessageQueue
    """The queue to send to."""

    ordered_by: str
    """The key of those messages that keep their order: all of one key go to one queue."""

    timeout: float | timedelta | None
    """The time in seconds, in place of the producer's `send_msg_timeout`."""


class LocalTransactionState(StrEnum):
    """What became of a local transaction."""

    COMMIT = "COMMIT_MESSAGE"
    ROLLBACK = "ROLLBACK_MESSAGE"
    UNKNOWN = "UNKNOW"


@dataclass(frozen=True, slots=True)
class Rebalanced:
    """A consumer took queues of a topic or gave some up."""

    group: str
    topic: str
    queues: list[MessageQueue]


@dataclass(frozen=True, slots=True)
class RouteChanged:
    """A topic got another route: queues, permissions or brokers' addresses."""

    topic: str


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection to a broker or NameServer was opened."""

    addr: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection ended, on whoever's wish."""

    addr: str


@dataclass(frozen=True, slots=True)
class SlowHandler:
    """A delivery is older than `consume_timeout` (here in seconds); its message is given back to the broker."""

    group: str
    queue: MessageQueue
    msg_id: str
    timeout: float


@dataclass(frozen=True, slots=True)
class FlowControl:
    """Pulling of a queue pauses, because too much waits in memory or is in handlers."""

    group: str
    queue: MessageQueue
    messages: int


@dataclass(frozen=True, slots=True)
class Missed:
    """So many events were not kept, because nobody took those before."""

    events: int


Event = Rebalanced | RouteChanged | Connected | Disconnected | SlowHandler | FlowControl | Missed
"""Something that happened in a client."""

_EVENTS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (Rebalanced, RouteChanged, Connected, Disconnected, SlowHandler, FlowControl, Missed)
}


def events(told: list[tuple[str, tuple[Any, ...]]]) -> list[Event]:
    """The events that the core told; a kind that is newer than this file is left out."""
    return [_EVENTS[kind](*fields) for kind, fields in told if kind in _EVENTS]


@dataclass(frozen=True, slots=True)
class BrokerData:
    """A broker's name with the addresses of its master (id 0) and slaves."""

    cluster: str
    broker_name: str
    addrs: dict[int, str]


@dataclass(frozen=True, slots=True)
class QueueData:
    """What a broker has of a topic."""

    broker_name: str
    read_queue_nums: int
    write_queue_nums: int
    perm: int


@dataclass(frozen=True, slots=True)
class TopicRoute:
    """Where a topic lives."""

    brokers: list[BrokerData]
    queues: list[QueueData]


@dataclass(frozen=True, slots=True)
class TopicOffset:
    """What a queue holds: offsets from `min_offset` up to, not including, `max_offset`."""

    min_offset: int
    max_offset: int
    last_update_timestamp: int


@dataclass(frozen=True, slots=True)
class ConsumeOffset:
    """How far a group is in a queue."""

    broker_offset: int
    consumer_offset: int
    last_timestamp: int

    @property
    def lag(self) -> int:
        """Messages that the group has not consumed yet."""
        return self.broker_offset - self.consumer_offset


@dataclass(frozen=True, slots=True)
class Connection:
    """A client that a broker knows."""

    client_id: str
    client_addr: str
    language: str
    version: int


@dataclass(frozen=True, slots=True)
class ConsumerConnection:
    """Who consumes in a group, and what."""

    connections: list[Connection]
    subscriptions: dict[str, str]


def topic_route(
    brokers: list[tuple[str, str, dict[int, str]]], queues: list[tuple[str, int, int, int]]
) -> TopicRoute:
    """A route from what the core tells of it."""
    return TopicRoute([BrokerData(*broker) for broker in brokers], [QueueData(*queue) for queue in queues])


def consumer_connection(
    connections: list[tuple[str, str, str, int]], subscriptions: dict[str, str]
) -> ConsumerConnection:
    """A group's connections from what the core tells of them."""
    return ConsumerConnection([Connection(*one) for one in connections], subscriptions)


TIME_MAX = 1e12
"""Later than anything."""


def milliseconds(time: datetime | float) -> int:
    """A time, or seconds since 1970, in the protocol's unit."""
    return int((time.timestamp() if isinstance(time, datetime) else time) * 1000)


def pairs(settings: Mapping[str, object]) -> list[tuple[str, str]]:
    """Settings by Java's names, as texts. A value that is `None` keeps the default."""
    texts = []
    for name, value in settings.items():
        if value is None:
            continue
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, timedelta):
            text = str(value // timedelta(milliseconds=1))
        elif isinstance(value, str | int):
            text = str(value)
        else:
            raise TypeError(
                f"the setting {name} is a str, int, bool or timedelta, not {type(value).__name__}"
            )
        texts.append((KEYS.get(name, name), text))
    return texts
