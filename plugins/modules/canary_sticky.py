#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_sticky
short_description: Let users keep the version they were first dealt
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Without it every request is dealt anew, and one user sees the versions change. With it the answer sets a cookie, and the
    bearer of the cookie stays with its version while that has a weight.
  - Works with any weights, set before or after. A version at weight V(0) keeps nobody.
  - Without O(routes) it concerns every HTTP route that deals between versions, also those made for certain callers.
  - Callers must keep cookies. Browsers do; a service that calls another must pass them on.
options:
  cookie:
    description: Name of the cookie. Without it C(canary-) and the name of the service.
    type: str
  max_age:
    description: Seconds a user keeps the version, at least 1.
    type: int
    default: 86400
  path:
    description: Path below which browsers send the cookie. It begins with C(/) and has no semicolon, space or control character.
    type: str
    default: /
  state:
    description: V(absent) deals users anew with every request.
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
  - name: Istio traffic management
    description: What VirtualService and DestinationRule do.
    link: https://istio.io/latest/docs/concepts/traffic-management/
"""

EXAMPLES = r"""
- name: Users keep their version for an hour
  meshops.canary.canary_sticky:
    service: productpage
    namespace: bookinfo
    max_age: 3600

- name: Deal every request anew
  meshops.canary.canary_sticky:
    service: productpage
    namespace: bookinfo
    state: absent
"""

RETURN = r"""
msg:
  description: What happened, or why not, in a sentence.
  returned: always
  type: str
  sample: "productpage: users keep their version by cookie canary-productpage"
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
  sample: {v1: 90, v2: 10}
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
    Kind of the failure: V(invalid_input), V(refused), V(unknown_subset), V(foreign_destination), V(conflict),
    V(not_converged) or V(api_error).
  returned: failure
  type: str
  sample: refused
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import entry, sticky


def main() -> None:
    """Run the command as a module."""
    entry.main(sticky)


if __name__ == "__main__":
    main()
