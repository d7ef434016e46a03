# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait until the proxies have the new routes. The module reads the routes from Envoy through a port-forward
        (rights C(get) and C(create) on C(pods/portforward) in the namespaces of istiod and of the callers).
      - Without these rights, the module waits O(settle_seconds) seconds and reports that in RV(convergence).
      - If nothing changes and the object was not written recently, the module does not wait.
    type: bool
    default: true
  wait_timeout:
    description: Seconds after which the task fails if a proxy still has the old routes. The change is not undone.
    type: float
    default: 120.0
  settle_seconds:
    description: Seconds to wait if the proxies cannot be read.
    type: float
    default: 5.0
  wait_sample:
    description:
      - Maximum number of proxies to read. If there are more, the module reads a random sample and reports that in the result.
      - V(0) reads all proxies.
    type: int
    default: 50
"""
