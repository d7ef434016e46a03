#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_routing
short_description: Put a service under routing rules with all requests on its stable version
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Makes sure of the DestinationRule's subsets, one for each version, and of the VirtualService that splits the requests.
  - What is there is edited in place; subsets, weights and cohorts of others stay. A service that has no routes yet gets all of
    its requests pinned to O(stable), so that a new version's pods get none before a weight says so.
  - Make before break. The subsets are written first, the proxies are waited for, then the routes follow; backwards the other way round.
options:
  versions:
    description:
      - The versions that get a subset. A list of names stands for the label O(version_label) of the same value; a mapping
        gives each version its pod labels.
      - The versions need no pods yet. Other subsets of the service stay.
      - With O(state=absent) the subsets to remove; without it those that were added by this module.
      - Required if O(state=present).
    type: raw
  version_label:
    description: The pod label that names the version, for O(versions) without labels of their own.
    type: str
    default: version
  stable:
    description:
      - The version that gets all requests of a service without routes. Ignored where there are routes.
      - Required if O(state=present).
    type: str
  port:
    description: Port of the service the routes are for. Without it, all.
    type: int
  ingress:
    description: Gateways through which requests from outside reach the service, under the same weights as those from inside.
    type: list
    elements: dict
    default: []
    suboptions:
      gateway:
        description: The Gateway as C(namespace/name), or C(name) in O(namespace).
        type: str
        required: true
      hosts:
        description: Host names by which requests arrive there, or V(*).
        type: list
        elements: str
        required: true
      paths:
        description: Paths that belong to the service. V(/static/*) is a prefix, anything else the whole path. Without it all.
        type: list
        elements: str
        default: []
  state:
    description:
      - V(absent) takes away what this module added. An object it created goes too, unless others have added to it, such as
        a timeout or a subset; then that stays, and routes send to all pods of the service.
      - It refuses while another route names a subset that would go, or one it created also routes to other services.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.attributes
  - meshops.canary.attributes.writes
  - meshops.canary.service
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
- name: Three versions of reviews, all requests to v1
  meshops.canary.canary_routing:
    service: reviews
    namespace: bookinfo
    versions: [v1, v2, v3]
    stable: v1

- name: A front end that is reached through the ingress gateway too
  meshops.canary.canary_routing:
    service: productpage
    namespace: bookinfo
    versions:
      v1: {version: v1}
      v2: {version: v2, track: canary}
    stable: v1
    port: 9080
    ingress:
      - gateway: bookinfo-gateway
        hosts: ["bookinfo.example.com"]
        paths: [/productpage, "/static/*", /login, /logout]

- name: Take the routing away
  meshops.canary.canary_routing:
    service: reviews
    namespace: bookinfo
    state: absent
"""

RETURN = r"""
msg:
  description: What happened, or why not, in a sentence.
  returned: always
  type: str
  sample: "reviews: subsets v1, v2, v3; all requests to v1"
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
  sample: {}
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

from ansible_collections.meshops.canary.plugins.module_utils.commands import entry, routing


def main() -> None:
    """Run the command as a module."""
    entry.main(routing)


if __name__ == "__main__":
    main()
