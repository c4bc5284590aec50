"""The pytest plugin: the fixture `ferrocket_broker`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ferrocket.testing import Broker


@pytest.fixture(scope="session")
def ferrocket_broker() -> Iterator[Broker]:
    """A NameServer and a Broker in this process, for the whole session; see `ferrocket.testing`."""
    from ferrocket.testing import Broker

    with Broker() as broker:
        yield broker
