#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_info
short_description: Tell who gets which share of a service, and what is wrong
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Reads in one call what there is to know about a service's versions, their weights and cohorts, ready pods, autoscaling,
    the requests they really answered, whether the proxies hold the routes, and everything that preflight finds.
  - Changes nothing and fails only when the cluster cannot be read. What could not be read or measured is V(null) with a
    sentence in RV(services[].notes), never V(0).
options:
  service:
    description:
      - Name of the Kubernetes Service that callers use.
      - Without it, all services of O(namespace) that have routes, subsets, a canary by pods or the record of a rollout are returned.
    type: str
  measure:
    description:
      - Where the numbers of RV(services[].measured) come from.
      - V(prometheus) asks Prometheus for the requests of the last O(window) seconds.
      - V(proxies) reads the counters of the callers' proxies through the API server (right C(get) on C(pods/proxy)), of
        the next O(sample_seconds) seconds, or since each proxy started.
      - V(auto) is V(prometheus) if O(prometheus_url) is given, else V(proxies).
    type: str
    choices: [auto, prometheus, proxies, none]
    default: auto
  window:
    description: Seconds of the past to query in Prometheus.
    type: float
    default: 300.0
  sample_seconds:
    description:
      - Seconds to count at the proxies. The task takes that long.
      - V(0) returns what they counted since each of them started, which may be long ago and before the present weights.
    type: float
    default: 0.0
  proxies:
    description: Whether to check once, without waiting, that the proxies have the routes as they are.
    type: bool
    default: true
  proxy_sample:
    description: Maximum number of proxies to read, those in the namespace of the service first, and always all gateways. V(0) reads all.
    type: int
    default: 50
  preflight:
    description: Whether to run the preflight checks, including the user's rights and Istio's webhook.
    type: bool
    default: true
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.attributes
  - meshops.canary.attributes.reads
  - meshops.canary.service.reads
  - meshops.canary.service.route_api
  - meshops.canary.prometheus
seealso:
  - module: meshops.canary.canary_weight
  - module: meshops.canary.canary_verify
  - plugin: meshops.canary.status_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Gather the status of one service
  meshops.canary.canary_info:
    service: reviews
    namespace: bookinfo
  register: status

- name: Display it as a table
  ansible.builtin.debug:
    msg: "{{ status.services | meshops.canary.status_table }}"

- name: Count the requests of the last ten minutes by Prometheus, for all services of the namespace
  meshops.canary.canary_info:
    namespace: bookinfo
    prometheus_url: http://prometheus.example.com:9090
    window: 600

- name: Count for ten seconds at the proxies, where there is no Prometheus
  meshops.canary.canary_info:
    service: reviews
    namespace: bookinfo
    measure: proxies
    sample_seconds: 10

- name: Only the weights, as quickly as possible
  meshops.canary.canary_info:
    service: reviews
    namespace: bookinfo
    measure: none
    proxies: false
    preflight: false
  register: status

- name: Fail if there are errors
  ansible.builtin.assert:
    that: status.services[0].findings | selectattr('severity', 'eq', 'error') | length == 0
"""

RETURN = r"""
msg:
  description: The shares in a sentence.
  returned: always
  type: str
  sample: "reviews: v1 90%, v2 10%"
namespace:
  description: The namespace.
  returned: success
  type: str
  sample: bookinfo
services:
  description: One entry for each service.
  returned: success
  type: list
  elements: dict
  contains:
    service:
      description: Name of the service.
      type: str
      sample: reviews
    namespace:
      description: Namespace of the service.
      type: str
      sample: bookinfo
    host:
      description: Full host name of the service.
      type: str
      sample: reviews.bookinfo.svc.cluster.local
    route_api:
      description: Which API routes the service, V(istio) or V(gateway); V(null) if the routes contradict each other.
      type: str
      sample: istio
    weights:
      description: Percent of the service's requests by version, cohorts apart. Empty without routes.
      type: dict
      sample: {v1: 90, v2: 10}
    weights_differ:
      description: Whether the service has several routes with different weights; see RV(services[].routes).
      type: bool
    routes:
      description: Every route to the service with its match and weights.
      type: list
      elements: dict
    cohorts:
      description: Cohorts by name, each with match, weights and order.
      type: dict
    sticky:
      description: The cookie by which users keep their version, V(null) without.
      type: dict
    mirrors:
      description: Percent of requests copied, by version.
      type: dict
    objects:
      description: The routing objects.
      type: list
      elements: dict
      sample: [{api_version: networking.istio.io/v1, kind: VirtualService, namespace: bookinfo, name: reviews}]
    versions:
      description: The versions in natural order.
      type: list
      elements: dict
      contains:
        version:
          description:
            - Name of the version.
            - Empty in the first entry stands for routes that name no version, so that any pod may answer.
            - Empty in the last entry, with a weight of 0, stands for counted requests whose version is not known, such as
              those canceled before an answer.
          type: str
          sample: v2
        labels:
          description: Labels of the version's subset, V(null) if there is none.
          type: dict
          sample: {version: v2}
        weight:
          description: Percent of the service's requests, cohorts apart. V(null) without routes.
          type: float
          sample: 10
        cohorts:
          description: Percent within each cohort that has the version.
          type: dict
          sample: {testers: 90}
        mirror:
          description: Percent of requests copied to the version, V(null) if none are.
          type: float
        ready:
          description: Pods that are ready, V(null) if pods were not read. Of the host of a ServiceEntry, its endpoints.
          type: int
          sample: 3
        pods:
          description: Pods that there are, V(null) if pods were not read.
          type: int
          sample: 3
        desired:
          description: Pods the version's Deployments shall have, V(null) if Deployments were not read.
          type: int
          sample: 3
        deployments:
          description: Names of the version's Deployments.
          type: list
          elements: str
          sample: [reviews-v2]
        images:
          description: Images of the Deployments' containers, without the proxy's.
          type: list
          elements: str
          sample: [registry.example.com/reviews:1.16.1]
        since:
          description: When the oldest of its pods was created, V(null) without pods.
          type: str
          sample: "2026-11-25T21:07:12Z"
        hpa:
          description: The version's HPA, with CPU in percent of the request as last measured. V(null) without HPA.
          type: dict
          sample: {name: reviews-v2, current: 3, desired: 3, minimum: 1, maximum: 10, cpu: 41, cpu_target: 50}
        measured:
          description: Requests, errors (answers of 500 and above, gRPC statuses that are the server's fault) and share in percent. V(null) if not measured.
          type: dict
          sample: {requests: 317, errors: 0, share: 10.567}
    by_pods:
      description:
        - The Deployments behind the service, with the percent of new connections that each one's ready pods get (V(null) if none is ready).
        - V(null) where routes decide, or if pods or Deployments were not read.
      type: list
      elements: dict
      sample:
        - {deployment: reviews, ready: 3, desired: 3, share: 75.0}
        - {deployment: reviews-canary, ready: 1, desired: 1, share: 25.0}
    measured:
      description:
        - What was counted in all, V(null) if it could not be.
        - C(source) is V(prometheus) or V(proxies), C(seconds) the span, V(null) for since each proxy started.
      type: dict
      sample: {source: prometheus, seconds: 300, callers: 0, requests: 3000, errors: 0, by_version: {}}
    proxies:
      description: Whether the proxies have the routes, as RV(ignore:convergence) of M(meshops.canary.canary_weight).
      type: dict
      sample: {method: proxies, converged: true, proxies: 6, checked: 6, seconds: 0.2, pending: [], note: ""}
    rollout:
      description:
        - Where the last rollout of the service stands, V(null) if none is recorded or it cannot be read. With its C(phase), C(step) of
          C(steps), C(weight), C(since), C(seconds_left), C(reason), the C(holder) of its lock (empty for nobody), the C(drift)
          by external changes, and in C(next) the next commands.
      type: dict
      sample:
        {id: 5f0c2a91, phase: observing, over: false, stable: v1, canary: v2, step: 2, steps: 4, weight: 10.0, since: "2026-11-25T21:07:12Z",
         seconds_left: 566.0, waits_for: enough evidence for a verdict, reason: "", holder: ada@ops1/4711,
         lease_until: "2026-11-25T21:22:12Z", drift: "", next: []}
    findings:
      description:
        - Findings, errors first. C(severity) is V(error), V(warning), or V(note) for what was not checked.
      type: list
      elements: dict
      sample:
        - code: SUBSET_NOT_READY
          severity: error
          object: DestinationRule bookinfo/reviews
          reason: "Subset v2 (version=v2) would receive 10% of requests and has no pod, so these requests would fail with 503."
          remedy: "Inspect the pods: kubectl -n bookinfo get pods -l version=v2. Continue when one is ready."
    notes:
      description: What could not be read or measured, and why.
      type: list
      elements: str
notes:
  description: What could not be read in general.
  returned: success
  type: list
  elements: str
api_requests:
  description: Requests sent to the API server by method.
  returned: success
  type: dict
  sample: {get: 14, patch: 0, post: 22, delete: 0}
error_code:
  description: Kind of failure, such as V(api_error) or V(invalid_input).
  returned: failure
  type: str
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import info
from ansible_collections.meshops.canary.plugins.module_utils.task import entry


def main() -> None:
    """Run the command as a module."""
    entry.main(info)


if __name__ == "__main__":
    main()
