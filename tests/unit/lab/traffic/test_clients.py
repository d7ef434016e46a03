# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clients: how they start, stop and read the load generator."""

from __future__ import annotations

import time
import typing as t

import pytest

from lab.traffic import GatewayClient, Load, TrafficError

if t.TYPE_CHECKING:
    from .conftest import Bookshop


def wait_until(condition: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_host_header_is_the_configured_host(shop: Bookshop) -> None:
    GatewayClient(shop.url, host="shop.example").measure(Load(requests=5, user="testuser"))
    assert shop.hosts == {"shop.example"}


def test_leaving_the_with_block_stops_the_load(shop: Bookshop) -> None:
    with GatewayClient(shop.url).background(Load(seconds=60, rate=100)) as running:
        wait_until(lambda: len(shop.requests) > 10)
        stopped = time.monotonic()
    result = running.result()
    assert time.monotonic() - stopped < 10
    assert result.ended_by == "stop"
    assert result.requests == len(shop.requests) > 10


def test_load_without_requests_and_seconds_is_rejected() -> None:
    with pytest.raises(TrafficError, match="needs a limit"):
        Load()


def test_crash_of_the_generator_is_an_error_with_its_reason() -> None:
    with pytest.raises(TrafficError, match="without a result: ValueError: Port could not be cast"):
        GatewayClient("http://127.0.0.1:http").measure(Load(requests=1))
