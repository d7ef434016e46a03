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
      - Whether to wait until the proxies hold the new routes. They are read from Envoy itself, through a port-forward
        (rights C(get) and C(create) on C(pods/portforward) in the namespaces of istiod and of the callers).
      - Without these rights the module waits O(wait_settle) seconds and says so in RV(convergence).
      - If nothing changes and the object was written long ago, nothing is waited for.
    type: bool
    default: true
  wait_timeout:
    description: Seconds after which the task fails if a proxy still holds the old routes. The change stays written.
    type: float
    default: 120.0
  wait_settle:
    description: Seconds to wait where the proxies cannot be read.
    type: float
    default: 5.0
  wait_sample:
    description:
      - How many proxies are read at most. With more of them a random sample is taken, and the result says so.
      - V(0) reads all.
    type: int
    default: 50
"""
