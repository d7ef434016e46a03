# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  virtual_services:
    description:
      - Names of the VirtualServices (or HTTPRoutes) to edit, as C(name) in O(namespace) or as C(namespace/name).
      - They are found by the host of O(service), so names are only needed to choose where several route it
        and that is meant so.
    type: list
    elements: str
    default: []
    aliases: [virtual_service, http_routes, http_route]
  routes:
    description:
      - Names of the routes in these objects to change.
      - Without names, all routes to O(service) but those made for certain callers (matches on headers, query or labels).
    type: list
    elements: str
    default: []
"""
