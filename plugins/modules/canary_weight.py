#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_weight
short_description: Set the percentage of requests that each version of a service receives
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Sets the weights of a service's versions in the existing routing object, which the module finds by the host of the service.
  - Weights are percentages of requests. They apply to every caller in the mesh and to requests through gateways, independently of the number of pods.
  - By default, the module refuses a weight for a subset without ready pods, and waits until the proxies use the new weights.
options:
  weights:
    description:
      - Percent of requests by version, from V(0) to V(100) with at most three decimals. The sum must be V(100).
      - A version is the name of a subset of the DestinationRule, or the name of a Service of its own that is a destination of the
        route. With the Gateway API all versions are Services.
      - Versions that are not listed receive no requests. Destinations of other hosts in the same route keep their share.
      - Required if O(state=present).
    type: dict
  finalize:
    description:
      - Whether these weights become the new normal state, for example after promoting a version. The module removes versions at V(0)
        from the route, and O(state=absent) no longer restores the weights from before.
    type: bool
    default: false
  expected:
    description:
      - Percent of requests by version that the service must have before the change. If the current weights differ,
        the module writes nothing and fails with RV(error_code=drift).
      - Current weights that already equal O(weights) are accepted. Without this option, any current weights are accepted.
    type: dict
  end_cohorts:
    description:
      - Names of cohorts of M(meshops.canary.canary_header_route) to remove in the same write. Cohorts that do not exist are
        ignored. This option cannot be combined with O(state=absent).
    type: list
    elements: str
    default: []
  rollout:
    description:
      - ID (C(run.id)) of the M(meshops.canary.canary_rollout) run that this change belongs to. The module reads the record of the run right before the
        write. If the rollout was ended or superseded, the module writes nothing and fails with RV(error_code=over) or RV(error_code=superseded).
    type: str
  state:
    description:
      - V(present) sets O(weights).
      - V(absent) restores the routes as they were before this module first changed the weights. Later changes by other tools are preserved.
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
  - The module edits objects in place with a JSON Patch and preserves all other fields, including those this collection
    does not know. If the object is modified concurrently, the module reads it and plans the change again once.
seealso:
  - module: meshops.canary.canary_header_route
  - module: meshops.canary.canary_info
  - module: meshops.canary.canary_verify
  - name: Istio traffic management
    description: Concepts of VirtualService and DestinationRule.
    link: https://istio.io/latest/docs/concepts/traffic-management/
"""

EXAMPLES = r"""
- name: Send 10 percent of the requests for reviews to v2
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 90, v2: 10}

- name: Preview a change without applying it
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 75, v2: 25}
  check_mode: true
  diff: true

- name: Promote v2 and make it the normal state
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v2: 100}
    finalize: true

- name: Raise v2 from 10 to 25 percent, but only if the weights were not changed since
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 75, v2: 25}
    expected: {v1: 90, v2: 10}

- name: Send all requests to v1 and remove the cohort of testers
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 100}
    end_cohorts: [testers]

- name: Restore the original route
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    state: absent

- name: Raise the share step by step in the cluster of one kubeconfig context
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    context: production-west
    weights: "{{ {'v1': 100 - item, 'v2': item} }}"
  loop: [1, 5, 25, 50, 100]
  loop_control:
    pause: 300

- name: Change only one named route of the VirtualService
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    routes: [api]
    weights: {v1: 99.5, v2: 0.5}

- name: Set connection options once for several tasks
  module_defaults:
    group/meshops.canary.canary:
      kubeconfig: ~/.kube/staging
      namespace: bookinfo
  block:
    - name: Send half of the requests for ratings to v2
      meshops.canary.canary_weight:
        service: ratings
        weights: {v1: 50, v2: 50}

    - name: Send half of the requests for reviews to v2, although v2 has too few pods
      meshops.canary.canary_weight:
        service: reviews
        weights: {v1: 50, v2: 50}
        force: [CAPACITY_BELOW_SHARE]
"""

RETURN = r"""
msg:
  description: Summary of the result in one sentence, or the reason for the failure.
  returned: always
  type: str
  sample: "reviews: v1 90% -> 75%, v2 10% -> 25% (6 proxies have it after 0.3 s)"
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
  description: Fully qualified host name of the service.
  returned: success
  type: str
  sample: reviews.bookinfo.svc.cluster.local
route_api:
  description: API that routes the service, V(istio) or V(gateway).
  returned: success
  type: str
  sample: istio
weights:
  description: Percent of the service's requests by version after the task, without those of cohorts.
  returned: success
  type: dict
  sample: {v1: 75, v2: 25}
weights_before:
  description: The same before the task.
  returned: success
  type: dict
  sample: {v1: 90, v2: 10}
cohorts:
  description: The service's cohorts after the task, by name. Each has a description of its match, its weights and its order.
  returned: success
  type: dict
  sample:
    testers:
      match: header end-user is testuser
      weights: {v2: 10, v3: 90}
      order: 100
objects:
  description: Every affected object, including those that did not change.
  returned: success
  type: list
  elements: dict
  contains:
    api_version: {description: Group and version., type: str, sample: networking.istio.io/v1}
    kind: {description: Kind., type: str, sample: VirtualService}
    namespace: {description: Namespace., type: str, sample: bookinfo}
    name: {description: Name., type: str, sample: reviews}
    changed: {description: "Whether the object was changed, or would be changed in check mode.", type: bool, sample: true}
patch:
  description: The writes that were made, or that would be made in check mode, in order.
  returned: when there is a plan
  type: list
  elements: dict
  contains:
    api_version: {description: Group and version., type: str, sample: networking.istio.io/v1}
    kind: {description: Kind., type: str, sample: VirtualService}
    namespace: {description: Namespace., type: str, sample: bookinfo}
    name: {description: Name., type: str, sample: reviews}
    operation: {description: "V(create), V(patch) or V(delete).", type: str, sample: patch}
    patch: {description: The JSON Patch (RFC 6902) with the test operations that guard it., type: list, elements: dict}
    object: {description: "The whole object if it is created, otherwise V(none).", type: dict}
findings:
  description: Problems that preflight found before the change or expects after it.
  returned: when O(preflight=true) and something changes, or when refused
  type: list
  elements: dict
  contains:
    code: {description: Stable code that O(force) takes., type: str, sample: SUBSET_NOT_READY}
    severity: {description: "V(error), V(warning) or V(note).", type: str, sample: error}
    object: {description: The affected object., type: str, sample: DestinationRule bookinfo/reviews}
    reason: {description: What is wrong with the object., type: str}
    remedy: {description: What to do., type: str}
convergence:
  description: Whether the proxies use the new routes.
  returned: always
  type: dict
  contains:
    method:
      description: >-
        V(proxies): the module read the proxies. V(fixed_delay): the proxies could not be read, so the module waited O(settle_seconds) seconds.
        V(skipped): nothing changed, and the objects were not written recently. V(none): O(wait=false) or check mode.
      type: str
      sample: proxies
    converged: {description: "V(true) if all selected proxies have the routes, V(none) if that is not known.", type: bool, sample: true}
    proxies: {description: Number of affected proxies., type: int, sample: 6}
    checked: {description: Number of proxies that were read and have the routes., type: int, sample: 6}
    seconds: {description: Seconds from the last write until the wait ended., type: float, sample: 0.31}
    pending: {description: "The proxies that do not have the routes yet, at most ten, each with what is missing.", type: list, elements: str, sample: []}
    note: {description: Explains what could not be read and what the module did instead., type: str, sample: ""}
api_requests:
  description: Number of requests sent to the API server, by method.
  returned: always
  type: dict
  sample: {get: 9, patch: 1, post: 0, delete: 0}
resources:
  description: The changed objects, as stored by the API server.
  returned: when O(return_object=true)
  type: list
  elements: dict
diff:
  description: Shares of the versions before and after the task, as text.
  returned: success
  type: dict
  contains:
    before: {description: Before., type: str}
    after: {description: After., type: str}
    before_header: {description: The affected objects., type: str, sample: VirtualService bookinfo/reviews}
    after_header: {description: The affected objects., type: str, sample: VirtualService bookinfo/reviews}
error_code:
  description: >-
    Category of the failure: V(invalid_input), V(refused), V(unknown_subset), V(foreign_destination), V(drift),
    V(over), V(superseded), V(conflict), V(not_converged) or V(api_error).
  returned: failure
  type: str
  sample: refused
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import weight
from ansible_collections.meshops.canary.plugins.module_utils.task import entry


def main() -> None:
    """Run the command as a module."""
    entry.main(weight)


if __name__ == "__main__":
    main()
