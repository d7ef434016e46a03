#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_replicas
short_description: Run a canary by pod ratio or update a Deployment, without a mesh
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Runs a second Deployment with the label C(track=canary) behind the same Service. A Service distributes new connections evenly over its ready
    pods, so the canary's share of connections equals its share of pods.
  - The module selects the number of canary pods that comes closest to the requested share, and reports the share that it reaches, the deviation and
    the number of pods before it changes anything. A small exact share needs many pods. M(meshops.canary.canary_weight) sets any share with any
    number of pods.
  - The module changes only the image of the stable Deployment. It changes the number of stable pods only with O(total) or O(max_error).
  - The module waits like C(kubectl rollout status). If pods do not become ready, it reports the reason for each pod and rolls its changes
    back. If an earlier run made the change and was killed, the module rolls the Deployment back to its previous revision, unless all pods of the
    current revision have been ready once.
options:
  service:
    description: Name of the Service that callers use. Its selector determines which Deployments share the connections.
    type: str
    required: true
  namespace:
    description: Namespace of O(service) and of the Deployments.
    type: str
    required: true
  deployment:
    description: Name of the stable Deployment. Required only if the Service selects several candidates.
    type: str
    default: ""
  canary:
    description: Name of the canary Deployment. The default is the name of the stable Deployment with the suffix C(-canary).
    type: str
    default: ""
  container:
    description:
      - Name of the container to set O(image) for. The default is the container that the annotation
        C(kubectl.kubernetes.io/default-container) of the pod template names, or the only container.
      - Required if the pod has several containers without that annotation.
    type: str
    default: ""
  image:
    description:
      - Image of the canary or, with O(state=updated), of the stable Deployment.
      - Required if the canary does not exist yet. With O(state=promoted), the default is the image of the canary.
    type: str
    default: ""
  share:
    description:
      - Percent of new connections for the canary, from V(0) to below V(100).
      - The computation includes the desired pods of all Deployments behind the Service. Run the task again after they were scaled.
    type: float
  replicas:
    description: Number of canary pods, as an alternative to O(share).
    type: int
  total:
    description:
      - Total number of pods of all Deployments behind the Service, of which the canary receives O(share). The stable Deployment is scaled up
        accordingly. Its original number of pods is restored with O(state=absent) or O(state=promoted).
      - Without this option, the stable Deployment keeps its pods and the canary's pods are added. The task is refused if the total would remove
        stable pods, or if an autoscaler owns the number of stable pods.
    type: int
  max_error:
    description:
      - Maximum deviation of the reached share from O(share), in percentage points. If the existing pods do not suffice, the module selects the
        smallest total that keeps the limit and scales the stable Deployment up as with O(total). Check mode reports the number of pods.
      - With O(total), or if an autoscaler owns the number of stable pods, the task is refused if the deviation is greater.
    type: float
  labels:
    description: >-
      Labels of the canary's pods in addition to C(track=canary). They override the labels of the stable pods. Used when the canary is created.
      Required if the selector of the stable Deployment would match the canary's pods. For example, use V({version: v2}) if the stable
      Deployment selects C(version=v1).
    type: dict
    default: {}
  state:
    description:
      - V(present) runs the canary with its share of pods. An existing Deployment of that name is adopted, and its image and number of pods
        are recorded.
      - V(promoted) updates the stable Deployment to the image of the canary by a rolling update while the canary keeps running, and then
        removes the canary.
      - V(absent) removes the canary, or restores the image and the number of pods of an adopted Deployment.
      - V(updated) updates the stable Deployment to O(image) by a rolling update. It does not change a canary.
    type: str
    choices: [present, updated, promoted, absent]
    default: present
  preflight:
    description: >-
      Whether to check, before writing, for problems such as another tool that writes the Deployment, a strategy that terminates
      all pods at once, or a missing readiness probe. Errors refuse the change, warnings are displayed. A rollback is never refused.
    type: bool
    default: true
  force:
    description: Codes of findings that do not refuse the change, as returned in RV(findings[].code).
    type: list
    elements: str
    default: []
  wait:
    description: Whether to wait for the rollout and for the termination of the canary's pods. With V(false), a failed rollout is not detected or rolled back.
    type: bool
    default: true
  wait_timeout:
    description: >-
      Seconds after which a rollout is considered failed. It is also considered failed when C(progressDeadlineSeconds) is exceeded, when an image
      cannot be pulled, or when a container crashes for the third time.
    type: float
    default: 300.0
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.attributes
  - meshops.canary.attributes.writes
notes:
  - The share is a percentage of new connections. Callers that keep a connection open stay on one pod. A percentage of requests requires a mesh.
  - Required rights in the namespace are C(list) on Services, Deployments, HorizontalPodAutoscalers and Pods, C(get), C(create), C(patch) and
    C(delete) on Deployments, C(list) on Events and C(get) on C(pods/log) to explain failures, and C(list) on ReplicaSets to roll back changes of
    a run that was killed.
  - No request is lost if pods keep serving for at least 5 seconds after their deletion (C(preStop)) and have a readiness probe, and if the
    strategy of the Deployment has C(maxUnavailable=0). The role P(meshops.canary.versions#role) creates such Deployments.
    Findings report what is missing.
seealso:
  - module: meshops.canary.canary_weight
"""

EXAMPLES = r"""
- name: Run 1.16.1 as a canary with 25 percent of the connections
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    image: registry.example.com/shop:1.16.1
    share: 25

- name: Preview how many pods 50 percent of the connections would need
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    share: 50
  check_mode: true
  diff: true

- name: Run a canary with exactly 10 percent of a total of ten pods
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    image: registry.example.com/shop:1.16.1
    share: 10
    total: 10

- name: Promote the canary
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    state: promoted

- name: Remove the canary
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    state: absent

- name: Update the stable Deployment without a canary
  meshops.canary.canary_replicas:
    service: shop
    namespace: bookinfo
    image: registry.example.com/shop:1.16.1
    state: updated
    wait_timeout: 120
"""

RETURN = r"""
msg:
  description: Summary of the result, or the reason for the failure.
  returned: always
  type: str
  sample: "shop-canary: 1 pod, registry.example.com/shop:1.16.1, new. 25% requested, 25.0% reached: 1 pod and 3 stable (+0.0 points)."
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
  description: Name of the canary Deployment, even if it does not exist.
  returned: success
  type: str
  sample: shop-canary
hpa:
  description: Name of the autoscaler of the stable Deployment. Empty if there is none.
  returned: success
  type: str
  sample: ""
share:
  description: The requested share and the share that is reached. Empty if no share was requested.
  returned: success
  type: dict
  contains:
    wanted: {description: Requested percent., type: float, sample: 25.0}
    reached: {description: Percent that results from the number of pods., type: float, sample: 25.0}
    error: {description: Difference of the two in percentage points., type: float, sample: 0.0}
    pods: {description: Number of canary pods., type: int, sample: 1}
    stable: {description: Number of stable pods., type: int, sample: 3}
    other_pods: {description: "Number of pods of all Deployments behind the Service except the canary.", type: int, sample: 3}
advice:
  description: Describes the share, its deviation and the number of pods. If the deviation is large, it also suggests an alternative.
  returned: success
  type: str
weights:
  description: Percent of new connections by Deployment after the task, when all pods are ready.
  returned: success
  type: dict
  sample: {shop: 75.0, shop-canary: 25.0}
weights_before:
  description: The same before the task.
  returned: success
  type: dict
  sample: {shop: 100.0}
findings:
  description: Problems that preflight found in the objects that were changed, or would be changed. C(docs/findings.md) explains the codes.
  returned: always
  type: list
  elements: dict
  contains:
    code: {description: Stable code., type: str, sample: READINESS_PROBE_MISSING}
    severity: {description: "V(error) or V(warning).", type: str, sample: warning}
    object: {description: Kind and name., type: str, sample: Deployment bookinfo/shop}
    reason: {description: What is wrong with the object., type: str}
    remedy: {description: What to do., type: str}
progress:
  description: Progress of the rollouts, with one line for each change.
  returned: success
  type: list
  elements: str
  sample: ["shop: 1 of 3 pods updated, 3 available, 2 old ones to end"]
objects:
  description: The affected Deployments, including those that did not change.
  returned: success
  type: list
  elements: dict
  contains:
    api_version: {description: Group and version., type: str, sample: apps/v1}
    kind: {description: Kind., type: str, sample: Deployment}
    namespace: {description: Namespace., type: str, sample: bookinfo}
    name: {description: Name., type: str, sample: shop-canary}
    changed: {description: "Whether the object was changed, or would be changed in check mode.", type: bool, sample: true}
patch:
  description: The writes that were made, or that would be made in check mode, in order.
  returned: success
  type: list
  elements: dict
  contains:
    api_version: {description: Group and version., type: str, sample: apps/v1}
    kind: {description: Kind., type: str, sample: Deployment}
    namespace: {description: Namespace., type: str, sample: bookinfo}
    name: {description: Name., type: str, sample: shop-canary}
    operation: {description: "V(create), V(patch) or V(delete).", type: str, sample: patch}
    patch: {description: The JSON Patch (RFC 6902) with the test operations that guard it., type: list, elements: dict}
    object: {description: "The whole object if it is created, otherwise V(none).", type: dict}
api_requests:
  description: Number of requests sent to the API server, by method.
  returned: always
  type: dict
  sample: {get: 5, patch: 0, post: 1, delete: 0}
diff:
  description: Numbers of pods and images before and after the task, as text.
  returned: success
  type: dict
  contains:
    before: {description: Before., type: str}
    after: {description: After., type: str}
    before_header: {description: The affected objects., type: str, sample: Deployment bookinfo/shop-canary}
    after_header: {description: The affected objects., type: str, sample: Deployment bookinfo/shop-canary}
error_code:
  description: Category of the failure. One of V(invalid_input), V(refused), V(conflict), V(rollout_failed) or V(api_error).
  returned: failure
  type: str
  sample: rollout_failed
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import replicas
from ansible_collections.meshops.canary.plugins.module_utils.task import entry


def main() -> None:
    """Run the command as a module."""
    entry.main(replicas)


if __name__ == "__main__":
    main()
