#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_routing
short_description: Create the subsets and the initial routes of a service
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Ensures that the DestinationRule has one subset for each version, and that a VirtualService splits the requests.
  - Existing objects are edited in place, and existing subsets, weights and cohorts are preserved. If the service has no routes yet,
    all requests are routed to O(stable), so that pods of a new version receive no requests until a weight is set.
  - The module makes before it breaks. It writes the subsets first, waits for the proxies, and then writes the routes. With
    O(state=absent), the order is reversed.
options:
  versions:
    description:
      - Versions that need a subset, either as a list of names or as a mapping of names to pod labels. For a list, each subset selects
        pods whose label O(version_label) equals the name.
      - The versions do not need to have pods yet. Other subsets of the service are preserved.
      - With O(state=absent), the subsets to remove. The default is all subsets that this module added.
      - Required if O(state=present).
    type: raw
  version_label:
    description: Pod label that identifies the version, used for O(versions) without explicit labels.
    type: str
    default: version
  stable:
    description:
      - Version that receives all requests if the service has no routes yet. Ignored if routes exist.
      - Required if O(state=present).
    type: str
  port:
    description: Port of the service that the routes apply to. By default, they apply to all ports.
    type: int
  ingress:
    description: Gateways through which external requests reach the service. The same weights apply to them as to requests from inside the mesh.
    type: list
    elements: dict
    default: []
    suboptions:
      gateway:
        description: The Gateway as C(namespace/name), or C(name) in O(namespace).
        type: str
        required: true
      hosts:
        description: Host names of the external requests, or V(*).
        type: list
        elements: str
        required: true
      paths:
        description: Paths that are routed to the service. V(/static/*) is a prefix, anything else is an exact path. By default, all paths are routed.
        type: list
        elements: str
        default: []
  state:
    description:
      - V(present) creates or updates the subsets and the routes.
      - V(absent) removes what this module added. It deletes an object that it created, unless the object has other changes, such as
        a timeout or a subset. In that case the object is kept, and its routes send to all pods of the service.
      - V(absent) is refused while another route uses a subset to be removed, or a route that this module created also sends to other services.
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
  - The module edits objects in place with a JSON Patch and preserves all other fields, including those this collection
    does not know. If the object is modified concurrently, the module reads it and plans the change again once.
seealso:
  - module: meshops.canary.canary_weight
  - name: Istio traffic management
    description: Concepts of VirtualService and DestinationRule.
    link: https://istio.io/latest/docs/concepts/traffic-management/
"""

EXAMPLES = r"""
- name: Create subsets for three versions of reviews and route all requests to v1
  meshops.canary.canary_routing:
    service: reviews
    namespace: bookinfo
    versions: [v1, v2, v3]
    stable: v1

- name: Route a frontend that is also reached through the ingress gateway
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

- name: Remove the routing
  meshops.canary.canary_routing:
    service: reviews
    namespace: bookinfo
    state: absent
"""

RETURN = r"""
msg:
  description: Summary of the result in one sentence, or the reason for the failure.
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
  sample: {}
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

from ansible_collections.meshops.canary.plugins.module_utils.commands import routing
from ansible_collections.meshops.canary.plugins.module_utils.task import entry


def main() -> None:
    """Run the command as a module."""
    entry.main(routing)


if __name__ == "__main__":
    main()
