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
      - Names of the VirtualServices to edit, as C(name) in O(namespace) or as C(namespace/name).
      - By default, the module finds them by the host of O(service). Names are required only if several objects route
        the service intentionally.
    type: list
    elements: str
    default: []
    aliases: [virtual_service]
  http_routes:
    description:
      - Names of the HTTPRoutes to edit, as C(name) in O(namespace) or as C(namespace/name).
      - With names the module edits HTTPRoutes, also where VirtualServices route the service too. Not together with
        O(virtual_services) or O(grpc_routes).
    type: list
    elements: str
    default: []
    aliases: [http_route]
  grpc_routes:
    description:
      - Names of the GRPCRoutes to edit, as C(name) in O(namespace) or as C(namespace/name).
      - By default, the module edits the HTTPRoutes and the GRPCRoutes of O(service) together. Not together with
        O(virtual_services) or O(http_routes).
    type: list
    elements: str
    default: []
    aliases: [grpc_route]
  routes:
    description:
      - Names of the routes in these objects to change.
      - By default, all routes to O(service) except those for specific callers (matches on headers, query or labels).
    type: list
    elements: str
    default: []
"""
