# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables for deploying Bookinfo with the image that the lab built; used by the demo and the tests."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

# The only node may have two CPUs for several Bookinfos, so their requests must leave capacity for autoscaling.
SMALL_POD = {"requests": {"cpu": "20m", "memory": "32Mi"}}
SMALL_PROXY = {"requests": {"cpu": "10m", "memory": "48Mi"}}


def bookinfo_variables(status: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return variables for the role bookinfo that fit the cluster; none where Istio's published images can be pulled.

    status: the output of `lab/cluster status --json`.
    """
    image = (status.get("images") or {}).get("bookinfo")
    if not image:
        return {}
    return {"bookinfo_image": image, "bookinfo_resources": SMALL_POD, "versions_proxy_resources": SMALL_PROXY}
