#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_replicas
short_description: Run a canary by the ratio of pods, or update a Deployment in place, without a mesh
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Runs a second Deployment with the label C(track=canary) behind the same Service. A Service spreads new connections evenly over its ready
    pods, so the canary's share is its share of pods.
  - A wanted share becomes the nearest number of pods beside those of stable. What is reached, how far off it is and what it costs is said
    before anything is done. A small exact share takes many pods; M(meshops.canary.canary_weight) sets it with any number of them.
  - Of stable only the image is ever changed, and without O(total) or O(max_error) never its number of pods, which may be an autoscaler's.
  - The module waits as C(kubectl rollout status) does. Pods that do not become ready are named with their own reason, and what was written is
    taken back. Where an earlier run had written it and was killed, the Deployment goes back to the revision before, unless its pods were all ready once.
options:
  service:
    description: Name of the Service that callers use. Its selector says which Deployments share its connections.
    type: str
    required: true
  namespace:
    description: Namespace of O(service) and of the Deployments.
    type: str
    required: true
  deployment:
    description: Name of the stable Deployment. Needed only where more than one could be meant.
    type: str
    default: ""
  canary:
    description: Name of the canary's Deployment. By default that of stable with C(-canary) behind it.
    type: str
    default: ""
  container:
    description: Name of the container that gets O(image). By default the first one.
    type: str
    default: ""
  image:
    description:
      - Image of the canary, or of stable with O(state=updated).
      - Required for a canary that is not there yet. With O(state=promoted) the canary's own image is taken by default.
    type: str
    default: ""
  share:
    description:
      - Percent of new connections that the canary shall get, from V(0) to below V(100).
      - Counted are the pods of all Deployments behind the Service, as they are wanted now, by hand or by an autoscaler. Run again to follow them.
    type: float
  replicas:
    description: Number of the canary's pods, instead of O(share).
    type: int
  total:
    description:
      - Pods of all Deployments behind the Service together, of which the canary gets O(share). Stable is scaled up to its part, and gets its own number
        back with O(state=absent) or O(state=promoted).
      - Without it stable keeps its pods and the canary's come on top. A total that would take pods from stable is refused, and any where an
        autoscaler owns stable's.
    type: int
  max_error:
    description:
      - Percentage points by which the reached share may be off. Without O(total) it chooses one, where the pods that are there do not suffice, the fewest
        that keep it, and stable is scaled up as with O(total). Check mode says what that costs.
      - With O(total) a share that is further off is refused, as it is where an autoscaler owns stable's pods.
    type: float
  labels:
    description: >-
      Labels of the canary's pods beside C(track=canary), over those of stable's. Used when the canary is created.
      Needed where stable's selector would match the canary's pods, as with V({version: v2}) beside stable pods selected by C(version=v1).
    type: dict
    default: {}
  state:
    description:
      - V(present) runs the canary with its share of pods. A Deployment of its name that others have made is adopted, its image and number of pods
        are noted.
      - V(promoted) lets stable take the canary's image by a rolling update while the canary carries on; then the canary goes.
      - V(absent) removes the canary, or gives an adopted one its image and number of pods back.
      - V(updated) lets stable take O(image) by a rolling update; no canary is concerned.
    type: str
    choices: [present, updated, promoted, absent]
    default: present
  preflight:
    description: >-
      Whether to look before writing for what would harm traffic or be undone, such as another tool that writes the Deployment, a strategy that ends
      all pods at once, or a missing readiness probe. Errors refuse the change, warnings are shown. Going back is never refused.
    type: bool
    default: true
  force:
    description: Codes of findings that shall not refuse the change, as RV(findings[].code) gives them.
    type: list
    elements: str
    default: []
  wait:
    description: Whether to wait for the rollout, and for the canary's pods to end. Without it a failed rollout is not noticed, and not taken back.
    type: bool
    default: true
  wait_timeout:
    description: >-
      Seconds after which a rollout counts as failed. It also does when Kubernetes gives it up (C(progressDeadlineSeconds)), and as soon as a container can
      only go on failing, with an image that cannot be pulled or a third crash.
    type: float
    default: 300.0
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.attributes
  - meshops.canary.attributes.writes
notes:
  - The share is one of connections. Callers that keep a connection open stay at one pod; a share of requests takes a mesh.
  - Rights in the namespace are C(list) on Services, Deployments, HorizontalPodAutoscalers and Pods, C(get), C(create), C(patch) and
    C(delete) on Deployments, to explain failures C(list) on Events and C(get) on C(pods/log), and C(list) on ReplicaSets to go back from what a
    killed run left.
  - No request is lost if pods drain before they end (C(preStop)), tell by a readiness probe when they serve, and the Deployment's
    strategy has C(maxUnavailable=0), as the role P(meshops.canary.versions#role) makes them.
seealso:
  - module: meshops.canary.canary_weight
"""

EXAMPLES = r"""
- name: Run 1.16.1 as a canary with a quarter of the connections
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    image: registry.example.com/shop:1.16.1
    share: 25

- name: Show what half of the connections would cost, and do nothing
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    share: 50
  check_mode: true
  diff: true

- name: Ten percent exactly, of ten pods
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    image: registry.example.com/shop:1.16.1
    share: 10
    total: 10

- name: Stable takes the canary's image, then the canary goes
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    state: promoted

- name: Or end it
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    state: absent

- name: Update in place, without a canary
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    image: registry.example.com/shop:1.16.1
    state: updated
    wait_timeout: 120
"""

RETURN = r"""
msg:
  description: What happened, or why not.
  returned: always
  type: str
  sample: "shop-canary: 1 pod, registry.example.com/shop:1.16.1, new. 25% wanted, 25.0% reached: 1 pod beside 3 stable (+0.0 points)."
service:
  description: Name of the service.
  returned: always
  type: str
  sample: shop
namespace:
  description: Namespace of the service.
  returned: always
  type: str
  sample: bookinfo
route_api:
  description: Always V(replicas).
  returned: success
  type: str
  sample: replicas
deployment:
  description: Name of the stable Deployment.
  returned: success
  type: str
  sample: shop
canary:
  description: Name of the canary's Deployment, whether it is there or not.
  returned: success
  type: str
  sample: shop-canary
hpa:
  description: Name of the autoscaler that owns stable's number of pods, empty if there is none.
  returned: success
  type: str
  sample: ""
share:
  description: The share asked for and what became of it; empty if none was asked for.
  returned: success
  type: dict
  contains:
    wanted: {description: Percent asked for., type: float, sample: 25.0}
    reached: {description: Percent that so many pods get., type: float, sample: 25.0}
    error: {description: Percentage points between the two., type: float, sample: 0.0}
    pods: {description: The canary's pods., type: int, sample: 1}
    stable: {description: Stable's pods., type: int, sample: 3}
    beside: {description: "Pods of all Deployments behind the Service but the canary, stable's among them.", type: int, sample: 3}
advice:
  description: The share, its error and its cost in a sentence; where it is far off or dear, also the way that is not.
  returned: success
  type: str
weights:
  description: Percent of new connections by Deployment after the task, once all pods are ready.
  returned: success
  type: dict
  sample: {shop: 75.0, shop-canary: 25.0}
weights_before:
  description: The same before the task.
  returned: success
  type: dict
  sample: {shop: 100.0}
findings:
  description: What preflight found on what was, or would be, changed. The codes are explained in C(docs/findings.md).
  returned: always
  type: list
  elements: dict
  contains:
    code: {description: Stable code., type: str, sample: READINESS_PROBE_MISSING}
    severity: {description: "V(error) or V(warning).", type: str, sample: warning}
    object: {description: Kind and name., type: str, sample: Deployment bookinfo/shop}
    reason: {description: What was seen there., type: str}
    remedy: {description: What to do., type: str}
progress:
  description: How far the rollouts were, one line each time it changed.
  returned: success
  type: list
  elements: str
  sample: ["shop: 1 of 3 pods updated, 3 available, 2 old ones to end"]
objects:
  description: The Deployments concerned, changed or not.
  returned: success
  type: list
  elements: dict
  contains:
    api_version: {description: Group and version., type: str, sample: apps/v1}
    kind: {description: Kind., type: str, sample: Deployment}
    namespace: {description: Namespace., type: str, sample: bookinfo}
    name: {description: Name., type: str, sample: shop-canary}
    changed: {description: "Whether it was, or would be, changed.", type: bool, sample: true}
patch:
  description: What was written, or would be in check mode, in this order.
  returned: success
  type: list
  elements: dict
  contains:
    api_version: {description: Group and version., type: str, sample: apps/v1}
    kind: {description: Kind., type: str, sample: Deployment}
    namespace: {description: Namespace., type: str, sample: bookinfo}
    name: {description: Name., type: str, sample: shop-canary}
    operation: {description: "V(create), V(patch) or V(delete).", type: str, sample: patch}
    patch: {description: The JSON Patch (RFC 6902) with the tests that make it safe., type: list, elements: dict}
    object: {description: "The whole object where it is created, else V(none).", type: dict}
api_requests:
  description: How many requests were sent to the API server, by method.
  returned: always
  type: dict
  sample: {get: 5, patch: 0, post: 1, delete: 0}
diff:
  description: Pods and images before and after, as text.
  returned: success
  type: dict
  contains:
    before: {description: Before., type: str}
    after: {description: After., type: str}
    before_header: {description: The objects concerned., type: str, sample: Deployment bookinfo/shop-canary}
    after_header: {description: The objects concerned., type: str, sample: Deployment bookinfo/shop-canary}
error_code:
  description: Kind of the failure, V(invalid_input), V(refused), V(conflict), V(rollout_failed) or V(api_error).
  returned: failure
  type: str
  sample: rollout_failed
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import entry, replicas


def main() -> None:
    """Run the command as a module."""
    entry.main(replicas)


if __name__ == "__main__":
    main()
