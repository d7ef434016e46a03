# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The loopback ports of several clusters on one machine."""

from __future__ import annotations

import socket

import pytest

from lab.kindlab import ports
from lab.kindlab.errors import LabError


def test_second_cluster_gets_the_next_ports() -> None:
    first = ports.choose((), lambda port: True)
    second = ports.choose(first.values(), lambda port: True)
    assert first == ports.FIRST
    assert second == {name: port + 1 for name, port in first.items()}


def test_ports_in_use_are_skipped() -> None:
    busy = {ports.FIRST["ingress"], ports.FIRST["api"] + 1}
    chosen = ports.choose((), lambda port: port not in busy)
    assert chosen == {name: port + 2 for name, port in ports.FIRST.items()}


def test_no_free_ports_is_an_error() -> None:
    with pytest.raises(LabError, match="no three free loopback ports"):
        ports.choose((), lambda port: False)


def test_port_with_a_listener_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)
