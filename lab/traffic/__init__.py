# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send real requests to a mesh and count which version answered; used by the demo and the mesh tests. For example:

::

    client = SidecarClient(kubeconfig, "bookinfo")         # from the productpage pod, through its sidecar
    client = GatewayClient("http://127.0.0.1:30080")       # as a browser, through the ingress gateway
    client.measure(Load(requests=1000)).counts             # {"v1": 903, "v2": 97}
    with client.background(Load(rate=20, seconds=300)) as running:
        ...                                                # change something
    running.result().failed                                # 0
"""

from __future__ import annotations

from .clients import Client, GatewayClient, Load, RunningLoad, SidecarClient, TrafficError
from .measurement import Measurement, total_counts
from .sample import bookinfo_variables

__all__ = [
    "Client",
    "GatewayClient",
    "Load",
    "Measurement",
    "RunningLoad",
    "SidecarClient",
    "TrafficError",
    "bookinfo_variables",
    "total_counts",
]
