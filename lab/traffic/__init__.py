# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real requests to a real mesh, and who answered them: used by the demo and by the mesh tests. For example:

::

    place = Sidecar(kubeconfig, "bookinfo")            # from the productpage pod, through its sidecar
    place = Gateway("http://127.0.0.1:30080")          # as a browser, through the ingress gateway
    place.measure(Load(requests=1000)).counts          # {"v1": 903, "v2": 97}
    with place.background(Load(rate=20, seconds=300)) as running:
        ...                                            # change something
    running.result().failed                            # 0
"""

from __future__ import annotations

from .measurement import Measurement, pooled
from .places import Gateway, Load, Place, Running, Sidecar, TrafficError
from .sample import bookinfo_variables

__all__ = [
    "Gateway",
    "Load",
    "Measurement",
    "Place",
    "Running",
    "Sidecar",
    "TrafficError",
    "bookinfo_variables",
    "pooled",
]
