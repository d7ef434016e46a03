#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_header_route
short_description: Route requests that match a header, cookie or path to specific versions
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Defines a cohort, which is the set of requests that match by header, cookie, path, method, query or the labels of the caller, and
    sets the percentage of these requests that each version receives. All other requests to O(service) keep their route.
  - The module inserts the route of the cohort before each route that would otherwise match, and copies the path, timeout, retries,
    rewrites, faults and headers of that route. It can be used before or after M(meshops.canary.canary_weight).
options:
  name:
    description:
      - Name of the cohort, which identifies it in later tasks. It consists of lowercase letters, digits and hyphens.
      - The name V(rollout) is reserved for M(meshops.canary.canary_rollout), which replaces and removes that cohort.
    type: str
    default: canary
    aliases: [cohort]
  headers:
    description:
      - Mapping of header names to conditions. A request must meet all of them.
      - >-
        A condition is a string (the exact value), or one of C({exact: TEXT}), C({prefix: TEXT}), C({regex: RE2}),
        C({present: true}) and C({absent: true}).
    type: dict
  cookies:
    description:
      - Mapping of cookie names to conditions, in the form of O(headers). Istio can test one cookie for a value and one cookie for absence.
    type: dict
  path:
    description: Condition on the path, in the form of O(headers).
    type: raw
  methods:
    description: HTTP methods. The method of the request must be one of them.
    type: list
    elements: str
  query:
    description: Mapping of query parameter names to conditions, in the form of O(headers).
    type: dict
  source_labels:
    description: Labels of the calling pods.
    type: dict
  match:
    description:
      - Alternatives, of which a request must meet at least one. Each alternative takes O(headers), O(cookies), O(path), O(methods),
        O(query) and O(source_labels), and a request must meet all conditions of the alternative.
      - Mutually exclusive with these options at the top level.
    type: list
    elements: dict
    suboptions:
      headers:
        description: See the option of the same name at the top level.
        type: dict
      cookies:
        description: See the option of the same name at the top level.
        type: dict
      path:
        description: See the option of the same name at the top level.
        type: raw
      methods:
        description: See the option of the same name at the top level.
        type: list
        elements: str
      query:
        description: See the option of the same name at the top level.
        type: dict
      source_labels:
        description: See the option of the same name at the top level.
        type: dict
  weights:
    description:
      - Percent of the cohort's requests by version. The sum must be V(100).
      - Required if O(state=present).
    type: dict
  order:
    description: Position among the cohorts. Cohorts with lower numbers are tried first, and a request belongs to the first cohort that matches.
    type: int
    default: 100
  rollout:
    description:
      - ID (C(run.id)) of the M(meshops.canary.canary_rollout) run that this change belongs to. The module reads the record of the run right before the
        write. If the rollout was ended or superseded, the module writes nothing and fails with RV(error_code=over) or RV(error_code=superseded).
    type: str
  state:
    description: V(present) creates or updates the cohort. V(absent) removes it and preserves everything else.
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
  - module: meshops.canary.canary_weight
  - module: meshops.canary.canary_sticky
  - name: Istio traffic management
    description: Concepts of VirtualService and DestinationRule.
    link: https://istio.io/latest/docs/concepts/traffic-management/
"""

EXAMPLES = r"""
- name: Send the requests of testuser to v2 and v3
  meshops.canary.canary_header_route:
    service: reviews
    namespace: bookinfo
    name: testers
    headers:
      end-user: {exact: testuser}
    weights: {v2: 10, v3: 90}

- name: Send employees with the canary cookie to v2, but not health checks
  meshops.canary.canary_header_route:
    service: reviews
    namespace: bookinfo
    name: employees
    cookies:
      canary: always
    headers:
      x-health-check: {absent: true}
    weights: {v2: 100}
    order: 10

- name: Match requests by one of two alternatives
  meshops.canary.canary_header_route:
    service: reviews
    namespace: bookinfo
    name: early
    match:
      - headers: {x-early: {present: true}}
      - query: {early: "1"}
        methods: [GET]
    weights: {v2: 100}

- name: Remove the cohort
  meshops.canary.canary_header_route:
    service: reviews
    namespace: bookinfo
    name: testers
    state: absent
"""

RETURN = r"""
msg:
  description: Summary of the result in one sentence, or the reason for the failure.
  returned: always
  type: str
  sample: "reviews: cohort testers: none -> header end-user is testuser gets v2 10%, v3 90%"
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
  sample: {v1: 100}
weights_before:
  description: The same before the task.
  returned: success
  type: dict
  sample: {v1: 100}
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
    Category of the failure: V(invalid_input), V(refused), V(unknown_subset), V(foreign_destination), V(conflict),
    V(not_converged) or V(api_error).
  returned: failure
  type: str
  sample: refused
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import header_route
from ansible_collections.meshops.canary.plugins.module_utils.task import entry


def main() -> None:
    """Run the command as a module."""
    entry.main(header_route)


if __name__ == "__main__":
    main()
