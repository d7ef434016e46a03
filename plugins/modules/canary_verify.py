#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_verify
short_description: Verify with real requests that a split is the intended one
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Counts which version answered how many requests and tests the counts exactly against the intended shares, by the
    binomial test with two versions, else by the multinomial one.
  - The verdict is V(fail) if the counts contradict the shares, V(pass) if they do not and were enough to detect a
    deviation that matters, else V(inconclusive). No evidence is no success.
  - Changes nothing. If it fails it returns the likely causes.
options:
  weights:
    description:
      - Intended percent by version. Only the ratios matter. Default is the weights of the routes, with O(route_api=replicas) the ready pods of each
        Deployment behind the Service.
    type: dict
  cohort:
    description:
      - Name of a cohort whose split to verify. Needs O(probes) with the headers that the cohort matches.
    type: str
  source:
    description:
      - V(proxies) counts the next O(seconds) at the callers' proxies through the API server (right C(get) on
        C(pods/proxy)). It counts the callers' requests and sends none.
      - V(prometheus) takes the last O(seconds) from Prometheus, but nothing from before the routes were last written, and so no
        sample that is older. Where it has too few since, RV(verdict) is V(inconclusive) and RV(reasons) say how long to wait.
      - V(probes) sends requests of its own, see O(probes).
      - With O(route_api=replicas) there are no proxies; V(prometheus) then counts by O(counter).
      - V(auto) is V(probes) if O(probes) is given, else V(prometheus) if O(prometheus_url) is, else V(proxies).
    type: str
    choices: [auto, proxies, prometheus, probes]
    default: auto
  seconds:
    description: Span to count. With V(proxies) the task takes that long.
    type: float
    default: 30.0
  proxy_sample:
    description: Maximum number of callers' proxies to read, those in the namespace of the service first, and always all gateways. V(0) reads all.
    type: int
    default: 0
  alpha:
    description: Probability of V(fail) although the split is right.
    type: float
    default: 0.001
  detect:
    description:
      - Deviation that matters, in points of percent. V(pass) needs enough requests to detect it in any version. A share
        smaller than this must be distinguishable from none.
    type: float
    default: 5.0
  power:
    description: Probability of detecting O(detect) that V(pass) needs.
    type: float
    default: 0.8
  fail_on:
    description: Verdicts that fail the task.
    type: list
    elements: str
    choices: [fail, inconclusive]
    default: [fail, inconclusive]
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.attributes
  - meshops.canary.attributes.reads
  - meshops.canary.service
  - meshops.canary.service.by_pods
  - meshops.canary.probes
  - meshops.canary.prometheus
notes:
  - Mirrored copies count like requests at proxies and in Prometheus. Requests of cohorts are counted too, so where cohorts
    have traffic of weight, probes give the clearer answer.
seealso:
  - module: meshops.canary.canary_weight
  - module: meshops.canary.canary_info
"""

EXAMPLES = r"""
- name: Set the weights
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 90, v2: 10}

- name: Prove it by the requests of the next minute
  meshops.canary.canary_verify:
    service: reviews
    namespace: bookinfo
    seconds: 60

- name: Verify by Prometheus, and continue with too little traffic
  meshops.canary.canary_verify:
    service: reviews
    namespace: bookinfo
    prometheus_url: http://prometheus.example.com:9090
    seconds: 300
    fail_on: [fail]

- name: Verify the split of a cohort, by requests from a pod
  meshops.canary.canary_verify:
    service: reviews
    namespace: bookinfo
    cohort: testers
    probes:
      pod: productpage-v1-5c8d9f6b7-x2x7z
      container: productpage
      command: [curl, -s, -m, "4", -H, "end-user: testuser", "http://reviews:9080/reviews/0"]
      pattern: '"podname": ?"reviews-(v[0-9]+)-'

- name: Verify the share of a canary by the ratio of pods, each probe on a connection of its own
  meshops.canary.canary_verify:
    service: shop
    namespace: bookinfo
    route_api: replicas
    probes:
      pod: client-5c8d9f6b7-x2x7z
      command: [curl, -s, -m, "4", "http://shop:8080/hostname"]
      pattern: '(shop[a-z0-9-]+)'

- name: Verify the split through the ingress gateway
  meshops.canary.canary_verify:
    service: reviews
    namespace: bookinfo
    probes:
      url: https://bookinfo.example.com/productpage
      pattern: 'reviews-(v[0-9]+)-'
      requests: 2000
  register: proof

- name: Display the result
  ansible.builtin.debug:
    msg: "{{ proof.verdict }} with p = {{ proof.p_value }} from {{ proof.n }} requests"
"""

RETURN = r"""
msg:
  description: The verdict and why, in a sentence.
  returned: always
  type: str
  sample: "reviews: pass: 3000 requests fit the intended shares (p = 0.301)"
service:
  description: Name of the service.
  returned: always
  type: str
  sample: reviews
namespace:
  description: Namespace of the service.
  returned: always
  type: str
  sample: bookinfo
cohort:
  description: The cohort tested, V(null) for everybody.
  returned: always
  type: str
verdict:
  description: V(pass), V(fail) or V(inconclusive).
  returned: always
  type: str
  sample: pass
passed:
  description: Whether the verdict is V(pass).
  returned: always
  type: bool
p_value:
  description: Probability of counts at most as likely as these if the shares hold. V(null) without any request.
  returned: always
  type: float
  sample: 0.301
n:
  description: Requests counted.
  returned: always
  type: int
  sample: 3000
power:
  description: Probability of detecting a deviation of O(detect) with this many requests.
  returned: always
  type: float
  sample: 0.9999
needed:
  description: Approximate number of requests that V(pass) needs.
  returned: always
  type: int
  sample: 704
test:
  description: V(exact), or V(bound) where the exact sum is too long and the least p-value of the versions is taken
    times their number. V(none) without any request.
  returned: always
  type: str
  sample: exact
reasons:
  description: Reasons of the verdict.
  returned: always
  type: list
  elements: str
causes:
  description: Likely causes if the verdict is V(fail), the most likely first.
  returned: always
  type: list
  elements: str
counts:
  description: Requests by version. C(all pods) are those sent to the service as a whole, past every version.
  returned: always
  type: dict
  sample: {v1: 2683, v2: 317}
shares:
  description: Intended percent by version.
  returned: always
  type: dict
  sample: {v1: 90, v2: 10}
measured:
  description: Measured percent by version.
  returned: always
  type: dict
  sample: {v1: 89.433, v2: 10.567}
errors:
  description: Answers of 500 and above, and gRPC statuses that are the server's fault; with probes, those that named no version.
  returned: always
  type: int
  sample: 0
source:
  description: Where the counts come from, V(proxies), V(prometheus) or V(probes).
  returned: always
  type: str
  sample: proxies
seconds:
  description: Span that was counted, V(null) if nothing was.
  returned: always
  type: float
  sample: 60.02
callers:
  description: Proxies that were read.
  returned: always
  type: int
  sample: 6
notes:
  description: What was not counted, and why.
  returned: always
  type: list
  elements: str
api_requests:
  description: Requests sent to the API server by method.
  returned: always
  type: dict
  sample: {get: 34, patch: 0, post: 0, delete: 0}
error_code:
  description: Kind of failure, V(split_fail), V(split_inconclusive), or that of an error such as V(metrics_error).
  returned: failure
  type: str
  sample: split_fail
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import verify
from ansible_collections.meshops.canary.plugins.module_utils.task import entry


def main() -> None:
    """Run the command as a module."""
    entry.main(verify)


if __name__ == "__main__":
    main()
