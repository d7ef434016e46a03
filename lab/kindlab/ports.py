# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which loopback ports a cluster gets."""

from __future__ import annotations

import errno
import socket
import typing as t

from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection

# The first cluster's ports; the next cluster's are one higher, and so on.
FIRST = {"api": 16443, "ingress": 18080, "prometheus": 19090}
# What they lead to inside the node.
NODE_PORTS = {"ingress": 30080, "prometheus": 30090}
CLUSTERS = 100


def choose(taken: Collection[int], is_free: Callable[[int], bool]) -> dict[str, int]:
    """The first row of ports of which none is another cluster's (`taken`) or in use by anybody else."""
    for number in range(CLUSTERS):
        row = {name: port + number for name, port in FIRST.items()}
        if not any(port in taken or not is_free(port) for port in row.values()):
            return row
    raise LabError(f"no three free ports on the loopback above {sorted(FIRST.values())}", "Take down a cluster.")


def is_free(port: int) -> bool:
    """Whether one can listen on the loopback's port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True
