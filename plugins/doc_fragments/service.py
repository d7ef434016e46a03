# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  service:
    description: Name of the Kubernetes Service that callers use. Everything else is found by it.
    type: str
    required: true
  namespace:
    description: Namespace of O(service) and of its routing objects.
    type: str
    required: true
  cluster_domain:
    description: DNS domain of the cluster, by which short host names are completed.
    type: str
    default: cluster.local
  istio_namespace:
    description: Namespace where istiod runs, the root namespace of the mesh; DestinationRules there are for every service.
    type: str
    default: istio-system
"""

    # For modules that route by one of two APIs
    ROUTE_API = r"""
options:
  route_api:
    description:
      - Which API routes the service.
      - V(istio) is VirtualService and DestinationRule, V(gateway) is HTTPRoute.
      - V(auto) takes the one that has an object for the service, and refuses if both have.
      - With HTTPRoutes a version is a Service of its own, named in the weights as it is called, beside the Service that
        callers use. Concerned are the HTTPRoutes of O(namespace) attached to the Service, and of those attached to a
        Gateway the rules that send to the Service, to one of the versions named, or to one that an HTTPRoute attached to
        the Service sends to.
      - An HTTPRoute cannot test that a header or cookie is absent, nor who calls, and cannot keep users at their version;
        a cohort must then be known by something else, or the service routed by a VirtualService.
      - Rules of an HTTPRoute are tried by how much they test. A cohort is added to every rule of the service, and its
        order counts only among cohorts that test equally much.
    type: str
    choices: [auto, istio, gateway]
    default: auto
"""

    # For modules that also know canaries by the ratio of pods
    BY_PODS = r"""
options:
  route_api:
    description:
      - Which API routes the service, as for M(meshops.canary.canary_weight). V(istio) is VirtualService and DestinationRule,
        V(gateway) is HTTPRoute, V(auto) the one that has an object for the service.
      - V(replicas) is none of them. The share is made by the ratio of pods, as by M(meshops.canary.canary_replicas), and the
        versions are named as their Deployments.
    type: str
    choices: [auto, istio, gateway, replicas]
    default: auto
"""

    # For modules that can look at all services of a namespace
    READS = r"""
options:
  namespace:
    description: Namespace of the services and of their routing objects.
    type: str
    required: true
  cluster_domain:
    description: DNS domain of the cluster, by which short host names are completed.
    type: str
    default: cluster.local
  istio_namespace:
    description: Namespace where istiod runs, the root namespace of the mesh; DestinationRules there are for every service.
    type: str
    default: istio-system
"""
