#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_weight
short_description: Set the share of requests each version of a service gets
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Sets the weights of a service's versions in the routing object that exists for it, found by its host.
  - The weights are those of requests, exact for every caller in the mesh and through gateways, whatever the number of pods.
  - By default it refuses a weight for a subset without ready pods, and waits until the proxies hold the new weights.
options:
  weights:
    description:
      - Percent of requests by version, V(0) to V(100) with at most three decimals, together V(100).
      - A version is the name of a subset of the DestinationRule, or with the Gateway API a Service.
      - Versions that are not named get none. Destinations of other hosts in the same route keep their share.
      - Required if O(state=present).
    type: dict
  settle:
    description:
      - Whether these weights become the normal state, as after promoting a version. Versions at V(0) leave the route, and
        O(state=absent) no longer goes back behind it.
    type: bool
    default: false
  expected:
    description:
      - Percent of requests by version that the service must have now, for a writer who has decided by them. If somebody
        else has changed them meanwhile nothing is written, and the task fails with RV(error_code=drift).
      - Weights that are already those of O(weights) are fine. Without the option any weights are.
    type: dict
  end_cohorts:
    description:
      - Names of cohorts of M(meshops.canary.canary_header_route) that end with this change, in the same write. One that is
        not there is no failure. With O(state=absent) it is refused.
    type: list
    elements: str
    default: []
  rollout:
    description:
      - The ID (C(run.id)) of M(meshops.canary.canary_rollout) that this change belongs to. Right before the write its record is read; if somebody has ended
        or superseded that rollout, nothing is written, and the task fails with RV(error_code=over) or RV(error_code=superseded).
    type: str
  state:
    description:
      - V(absent) gives the routes back as they were before the first weights; what others changed since stays.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.attributes
  - meshops.canary.attributes.writes
  - meshops.canary.service
  - meshops.canary.service.route_api
  - meshops.canary.scope
  - meshops.canary.write
  - meshops.canary.wait
notes:
  - Objects are edited in place by JSON Patch. Fields that are not asked for stay byte for byte, also those this collection
    does not know; if somebody else wrote the object in between, it is read and planned again once.
seealso:
  - module: meshops.canary.canary_header_route
  - module: meshops.canary.canary_info
  - module: meshops.canary.canary_verify
  - name: Istio traffic management
    description: What VirtualService and DestinationRule do.
    link: https://istio.io/latest/docs/concepts/traffic-management/
"""

EXAMPLES = r"""
- name: Send 10 percent of the requests for reviews to v2
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 90, v2: 10}

- name: Show a manager what would change, and change nothing
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 75, v2: 25}
  check_mode: true
  diff: true

- name: Promote v2 for good
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v2: 100}
    settle: true

- name: Go on from 10 percent, but only if nobody has changed that meanwhile
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 75, v2: 25}
    expected: {v1: 90, v2: 10}

- name: Send everybody back to v1, the testers too
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 100}
    end_cohorts: [testers]

- name: Give the route back as it was before the canary
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    state: absent

- name: Raise the share step by step, in one cluster of several
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    context: production-west
    weights: "{{ {'v1': 100 - item, 'v2': item} }}"
  loop: [1, 5, 25, 50, 100]
  loop_control:
    pause: 300

- name: Only the route of the API, where a VirtualService has several
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    routes: [api]
    weights: {v1: 99.5, v2: 0.5}

- name: Two steps over one connection's settings
  module_defaults:
    group/meshops.canary.canary:
      kubeconfig: ~/.kube/staging
      namespace: bookinfo
  block:
    - name: Half of the requests for ratings
      meshops.canary.canary_weight:
        service: ratings
        weights: {v1: 50, v2: 50}

    - name: Go on although v2 has too few pods for half of the requests
      meshops.canary.canary_weight:
        service: reviews
        weights: {v1: 50, v2: 50}
        force: [CAPACITY_BELOW_SHARE]
"""

RETURN = r"""
msg:
  description: What happened, or why not, in a sentence.
  returned: always
  type: str
  sample: "reviews: v1 90% -> 75%, v2 10% -> 25% (6 proxies hold it after 0.3 s)"
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
host:
  description: Full host name of the service.
  returned: success
  type: str
  sample: reviews.bookinfo.svc.cluster.local
route_api:
  description: Which API routes the service, V(istio) or V(gateway).
  returned: success
  type: str
  sample: istio
weights:
  description: Percent of the service's requests by version after the task, cohorts apart.
  returned: success
  type: dict
  sample: {v1: 75, v2: 25}
weights_before:
  description: The same before the task.
  returned: success
  type: dict
  sample: {v1: 90, v2: 10}
cohorts:
  description: The service's cohorts after the task, by name; each with its match in words, weights and order.
  returned: success
  type: dict
  sample:
    testers:
      match: header end-user is testuser
      weights: {v2: 10, v3: 90}
      order: 100
objects:
  description: Every object concerned, changed or not.
  returned: success
  type: list
  elements: dict
  contains:
    api_version: {description: Group and version., type: str, sample: networking.istio.io/v1}
    kind: {description: Kind., type: str, sample: VirtualService}
    namespace: {description: Namespace., type: str, sample: bookinfo}
    name: {description: Name., type: str, sample: reviews}
    changed: {description: "Whether it was, or would be, changed.", type: bool, sample: true}
patch:
  description: What was written, or would be in check mode, in this order.
  returned: when there is a plan
  type: list
  elements: dict
  contains:
    api_version: {description: Group and version., type: str, sample: networking.istio.io/v1}
    kind: {description: Kind., type: str, sample: VirtualService}
    namespace: {description: Namespace., type: str, sample: bookinfo}
    name: {description: Name., type: str, sample: reviews}
    operation: {description: "V(create), V(patch) or V(delete).", type: str, sample: patch}
    patch: {description: The JSON Patch (RFC 6902) with the tests that make it safe., type: list, elements: dict}
    object: {description: "The whole object where it is created, else V(none).", type: dict}
findings:
  description: What preflight found wrong, or would be wrong after the change.
  returned: when O(preflight=true) and something changes, or when refused
  type: list
  elements: dict
  contains:
    code: {description: Stable code that O(force) takes., type: str, sample: SUBSET_NOT_READY}
    severity: {description: "V(error), V(warning) or V(note).", type: str, sample: error}
    object: {description: The object concerned., type: str, sample: DestinationRule bookinfo/reviews}
    reason: {description: What was seen there., type: str}
    remedy: {description: What to do., type: str}
convergence:
  description: What is known about the proxies.
  returned: always
  type: dict
  contains:
    method:
      description: >-
        V(proxies): they were read. V(settle): they could not be read, O(wait_settle) seconds were waited.
        V(skipped): nothing changed and the objects were written long ago. V(none): O(wait=false) or check mode.
      type: str
      sample: proxies
    converged: {description: "V(true) if all that were to be read hold the routes, V(none) if it is not known.", type: bool, sample: true}
    proxies: {description: Number of proxies concerned., type: int, sample: 6}
    checked: {description: Number of proxies that were read and hold the routes., type: int, sample: 6}
    seconds: {description: How long it took after the last write., type: float, sample: 0.31}
    pending: {description: "The proxies that lag, at most ten, each with what it lacks.", type: list, elements: str, sample: []}
    note: {description: What could not be read and what was done instead., type: str, sample: ""}
api_requests:
  description: How many requests were sent to the API server, by method.
  returned: always
  type: dict
  sample: {get: 9, patch: 1, post: 0, delete: 0}
resources:
  description: The objects that were changed, as stored.
  returned: when O(return_object=true)
  type: list
  elements: dict
diff:
  description: Who got which share before and after, as text.
  returned: success
  type: dict
  contains:
    before: {description: Before., type: str}
    after: {description: After., type: str}
    before_header: {description: The objects concerned., type: str, sample: VirtualService bookinfo/reviews}
    after_header: {description: The objects concerned., type: str, sample: VirtualService bookinfo/reviews}
error_code:
  description: >-
    Kind of the failure: V(invalid_input), V(refused), V(unknown_subset), V(foreign_destination), V(drift),
    V(over), V(superseded), V(conflict), V(not_converged) or V(api_error).
  returned: failure
  type: str
  sample: refused
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import entry, weight


def main() -> None:
    """Run the command as a module."""
    entry.main(weight)


if __name__ == "__main__":
    main()
