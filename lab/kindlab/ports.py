# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Choose the loopback ports of a cluster."""

from __future__ import annotations

import errno
import socket
import typing as t

from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection

# The ports of the first cluster; each further cluster uses the next higher numbers.
FIRST = {"api": 16443, "ingress": 18080, "prometheus": 19090}
# The node ports they are mapped to.
NODE_PORTS = {"ingress": 30080, "prometheus": 30090}
MAX_CLUSTERS = 100


def choose(taken: Collection[int], is_free: Callable[[int], bool]) -> dict[str, int]:
    """Return the first set of ports, by purpose, that no other cluster has (`taken`) and no other program uses."""
    for offset in range(MAX_CLUSTERS):
        ports = {name: port + offset for name, port in FIRST.items()}
        if not any(port in taken or not is_free(port) for port in ports.values()):
            return ports
    raise LabError(
        f"There are no three free loopback ports from {sorted(FIRST.values())} upward.",
        "Delete a cluster: lab/cluster down NAME",
    )


def is_free(port: int) -> bool:
    """Return whether a program can listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True
