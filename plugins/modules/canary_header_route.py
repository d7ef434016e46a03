#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_header_route
short_description: Route the requests of a cohort to other versions than everybody else
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Sends requests that are recognised by header, cookie, path, method, query or the caller's labels to versions of their own,
    in percent of these requests. Everybody else goes where O(service) is routed otherwise.
  - The cohort's route stands before each route it must shadow and inherits its path, timeout, retries, rewrites, faults and
    headers. It composes with M(meshops.canary.canary_weight) in any order.
options:
  name:
    description:
      - Name of the cohort, by which it is found again. Lower-case letters, digits and hyphens.
      - V(rollout) is that of M(meshops.canary.canary_rollout), which replaces and ends it.
    type: str
    default: canary
    aliases: [cohort]
  headers:
    description:
      - Header name to condition. All must hold.
      - >-
        A condition is a text (the exact value), or one of C({exact: TEXT}), C({prefix: TEXT}), C({regex: RE2}),
        C({present: true}) and C({absent: true}).
    type: dict
  cookies:
    description:
      - Cookie name to condition, in the form of O(headers). Istio can test one cookie for a value and one for absence.
    type: dict
  path:
    description: Condition on the path, in the form of O(headers).
    type: raw
  methods:
    description: HTTP methods; one of them must be the request's.
    type: list
    elements: str
  query:
    description: Name of a query parameter to condition, in the form of O(headers).
    type: dict
  source_labels:
    description: Labels of the pods that call.
    type: dict
  match:
    description:
      - Alternatives, one of which must hold. Each takes O(headers), O(cookies), O(path), O(methods), O(query) and
        O(source_labels), all of which must hold.
      - Mutually exclusive with these as options of the task.
    type: list
    elements: dict
    suboptions:
      headers:
        description: As the option of the task.
        type: dict
      cookies:
        description: As the option of the task.
        type: dict
      path:
        description: As the option of the task.
        type: raw
      methods:
        description: As the option of the task.
        type: list
        elements: str
      query:
        description: As the option of the task.
        type: dict
      source_labels:
        description: As the option of the task.
        type: dict
  weights:
    description:
      - Percent of the cohort's requests by version, together V(100).
      - Required if O(state=present).
    type: dict
  order:
    description: Cohorts with a lower number come first. A request belongs to the first cohort that fits.
    type: int
    default: 100
  rollout:
    description:
      - The ID (C(run.id)) of M(meshops.canary.canary_rollout) that this change belongs to. Right before the write its record is read; if somebody has ended
        or superseded that rollout, nothing is written, and the task fails with RV(error_code=over) or RV(error_code=superseded).
    type: str
  state:
    description: V(absent) removes the cohort; everything else stays.
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
  - module: meshops.canary.canary_weight
  - module: meshops.canary.canary_sticky
  - name: Istio traffic management
    description: What VirtualService and DestinationRule do.
    link: https://istio.io/latest/docs/concepts/traffic-management/
"""

EXAMPLES = r"""
- name: Send testuser's requests to v2 and v3, everybody else stays on v1
  meshops.canary.canary_header_route:
    service: reviews
    namespace: bookinfo
    name: testers
    headers:
      end-user: {exact: testuser}
    weights: {v2: 10, v3: 90}

- name: Employees with the canary cookie, but not the health checks
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

- name: Either of two ways to ask for the new version
  meshops.canary.canary_header_route:
    service: reviews
    namespace: bookinfo
    name: early
    match:
      - headers: {x-early: {present: true}}
      - query: {early: "1"}
        methods: [GET]
    weights: {v2: 100}

- name: End the test
  meshops.canary.canary_header_route:
    service: reviews
    namespace: bookinfo
    name: testers
    state: absent
"""

RETURN = r"""
msg:
  description: What happened, or why not, in a sentence.
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
  sample: {v1: 100}
weights_before:
  description: The same before the task.
  returned: success
  type: dict
  sample: {v1: 100}
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
    Kind of the failure: V(invalid_input), V(refused), V(unknown_subset), V(foreign_destination), V(conflict),
    V(not_converged) or V(api_error).
  returned: failure
  type: str
  sample: refused
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import entry, header_route


def main() -> None:
    """Run the command as a module."""
    entry.main(header_route)


if __name__ == "__main__":
    main()
