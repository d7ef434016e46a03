# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    # Ways to count that need no proxies
    DOCUMENTATION = r"""
options:
  probes:
    description: Requests to send, from where the task runs (O(probes.url)) or from a pod (O(probes.pod)).
    type: dict
    suboptions:
      url:
        description: Address to GET from where the task runs, for example through the ingress gateway.
        type: str
      headers:
        description: Headers to send to O(probes.url), such as those of a cohort.
        type: dict
        default: {}
      validate_certs:
        description: Whether to check the certificate of O(probes.url).
        type: bool
        default: true
      pod:
        description: Name of a pod in O(namespace) to send from. It should have a sidecar, or its requests follow no route.
        type: str
      container:
        description: Container to run O(probes.command) in; the application's, for what the proxy sends itself follows no route.
        type: str
      command:
        description:
          - Command that sends one request and prints the answer, run once for each probe (right C(create) and C(get) on
            C(pods/exec)). It must end by itself in less than O(probes.timeout) seconds.
        type: list
        elements: str
      pattern:
        description:
          - Regular expression, in the syntax of RE2, that finds the version in the answer (status, headers and body); its
            first group is the version. With O(route_api=replicas) it is the name of a pod, of a Deployment, or a C(version) or C(track) label of its pods.
        type: str
        required: true
      requests:
        description: How many probes to send, 20000 at most. Default is as many as the test needs.
        type: int
      timeout:
        description: Seconds to wait for one answer.
        type: float
        default: 5.0
  counter:
    description: A counter of requests in Prometheus, for O(route_api=replicas) with O(source=prometheus).
    type: dict
    suboptions:
      query:
        description: PromQL of the counter itself, as C(http_requests_total{service="shop"}), without C(rate) or C(increase).
        type: str
        required: true
      label:
        description: Its label that names the pod that answered, the Deployment, or a C(version) or C(track) label of its pods.
        type: str
        default: pod
"""
