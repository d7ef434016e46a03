# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  service:
    description:
      - Name of the Kubernetes Service that callers use. The module finds all other objects by it.
      - A name with dots such as V(api.example.com) is the host of a ServiceEntry. O(namespace) is then that of its
        VirtualService.
    type: str
    required: true
  namespace:
    description: Namespace of O(service) and of its routing objects.
    type: str
    required: true
  cluster_domain:
    description: DNS domain of the cluster, used to complete short host names.
    type: str
    default: cluster.local
  istio_namespace:
    description: Namespace of istiod, which is the root namespace of the mesh. DestinationRules in it apply to every service.
    type: str
    default: istio-system
"""

    # For modules that support both routing APIs
    ROUTE_API = r"""
options:
  route_api:
    description:
      - API that routes the service.
      - V(istio) is VirtualService and DestinationRule, V(gateway) is HTTPRoute.
      - V(auto) selects the API that has an object for the service, and fails if both have one.
      - In a VirtualService a version is a subset of the service, or a Service of its own of the same namespace. Both may be in
        one route. The host of a ServiceEntry, written with its dots, can be a version too.
      - With HTTPRoutes, each version has its own Service in addition to the Service that callers use, and the weights use the
        names of these Services. The module edits HTTPRoutes of O(namespace) that are attached to the Service. In HTTPRoutes
        that are attached to a Gateway, it edits the rules that send to the Service, to one of the versions, or to a backend of
        an HTTPRoute that is attached to the Service.
      - An HTTPRoute cannot test the absence of a header or cookie or the labels of the caller, and cannot keep users on
        one version. If you need these, route the service with a VirtualService.
      - An HTTPRoute evaluates more specific rules first. A cohort is added to every rule of the service, and its
        order only applies among equally specific cohorts.
    type: str
    choices: [auto, istio, gateway]
    default: auto
"""

    # For modules that also support canaries by pod ratio
    BY_PODS = r"""
options:
  route_api:
    description:
      - API that routes the service, as for M(meshops.canary.canary_weight). V(istio) is VirtualService and DestinationRule,
        V(gateway) is HTTPRoute, and V(auto) selects the API that has an object for the service.
      - V(replicas) uses no routing API. The share results from the ratio of pods, as with M(meshops.canary.canary_replicas), and
        the versions are the names of the Deployments.
    type: str
    choices: [auto, istio, gateway, replicas]
    default: auto
"""

    # For modules that can read all services of a namespace
    READS = r"""
options:
  namespace:
    description: Namespace of the services and of their routing objects.
    type: str
    required: true
  cluster_domain:
    description: DNS domain of the cluster, used to complete short host names.
    type: str
    default: cluster.local
  istio_namespace:
    description: Namespace of istiod, which is the root namespace of the mesh. DestinationRules in it apply to every service.
    type: str
    default: istio-system
"""
