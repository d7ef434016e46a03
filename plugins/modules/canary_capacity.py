#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_capacity
short_description: Scale a version for its share of requests before the shift
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Starts the pods that a version needs for a percentage of a service's requests, and waits until they are ready. It does not shift requests.
  - If a HorizontalPodAutoscaler owns the number of pods, the module raises C(minReplicas) and never writes C(replicas). The original
    value is stored in the annotation C(canary.meshops.io/min-replicas-before) until O(state=released) restores it. A value that was
    changed by another tool since is not restored. Without an autoscaler, the module scales the Deployment through its C(scale) subresource.
  - Only O(state=reduced) removes pods.
options:
  version:
    description:
      - Version to scale, by the name that the routes use. Its subset or Service must select the pods of exactly one
        Deployment.
      - Required if O(state=present) or O(state=reduced).
    type: str
  share:
    description:
      - Percent of the service's requests that the version must be able to serve. The module computes the number of pods from the
        pods of O(stable) and their share, by the CPU utilization that the autoscaler measures, or otherwise by their number.
    type: float
  pods:
    description:
      - Number of pods, as an alternative to O(share).
      - With O(state=reduced), the number of pods to keep. Required in that case.
    type: int
  next_share:
    description:
      - Percent of the step after O(share). The module starts the pods for this step too, but does not wait for them.
    type: float
  last_share:
    description:
      - Percent of the last step. The module starts no pods for it. If an autoscaler measures the load of O(stable), and C(maxReplicas)
        of the autoscaler of O(version) is too low for this percent, the module writes nothing and fails with the finding
        V(CAPACITY_BELOW_SHARE). Otherwise M(meshops.canary.canary_weight) would refuse that step in the middle of a rollout.
    type: float
  stable:
    description: Version whose load is the basis of the computation. Required with O(share).
    type: str
  other_versions:
    description:
      - Other versions that receive requests that O(stable) received before, such as a baseline. If no load is measured, the module assumes that
        the pods of O(stable) are just enough for the requests of all these versions together.
    type: list
    elements: str
    default: []
  keep_stable:
    description:
      - Whether to raise C(minReplicas) of the autoscaler of O(stable), so that O(stable) can serve all requests after a rollback. The value is the
        current number of pods of O(stable), or the number that its measured load requires once O(version) and O(other_versions) receive no
        requests, whichever is greater, limited to C(maxReplicas). The module ignores the measured load for 45 seconds after the last
        change of the pods or of the routes, because it may be outdated.
    type: bool
    default: false
  min_pods:
    description: Minimum number of pods for O(share).
    type: int
    default: 1
  headroom:
    description: Factor to multiply the computed number of pods by if the load is measured, V(1) or greater.
    type: float
    default: 1.2
  force:
    description:
      - Codes of findings to ignore. With V(CAPACITY_BELOW_SHARE), the finding of O(last_share) is only a warning.
        Other codes have no effect here.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(present) scales O(version) up.
      - V(reduced) scales the Deployments of O(version) down to O(pods), or sets C(minReplicas) of their autoscalers to it. The module does not
        wait, and does not check whether the version still receives requests.
      - V(released) restores the original C(minReplicas) of every autoscaler of the service's versions, also after a run that was
        killed. The pods are kept until the autoscaler scales them down.
    type: str
    choices: [present, reduced, released]
    default: present
  wait:
    description: Whether to wait until the pods for O(share) or O(pods) are ready.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait. After that, or as soon as a pod fails permanently, the task fails with RV(error_code=not_ready) and
        the reason. The module does not undo the scaling.
    type: float
    default: 300.0
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.attributes
  - meshops.canary.attributes.writes
  - meshops.canary.service
  - meshops.canary.service.route_api
seealso:
  - module: meshops.canary.canary_weight
  - module: meshops.canary.canary_replicas
"""

EXAMPLES = r"""
- name: Scale v2 for 25 percent, start the pods for 50 percent, and verify that 100 percent is possible
  meshops.canary.canary_capacity:
    service: reviews
    namespace: bookinfo
    version: v2
    stable: v1
    share: 25
    next_share: 50
    last_share: 100

- name: Shift the requests
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 75, v2: 25}

- name: Scale v2 to three pods
  meshops.canary.canary_capacity:
    service: reviews
    namespace: bookinfo
    version: v2
    pods: 3

- name: Scale the replaced version down to one pod
  meshops.canary.canary_capacity:
    service: reviews
    namespace: bookinfo
    version: v1
    pods: 1
    state: reduced

- name: Restore minReplicas of the autoscalers
  meshops.canary.canary_capacity:
    service: reviews
    namespace: bookinfo
    state: released
"""

RETURN = r"""
msg:
  description: Summary of the result in one sentence, or the reason for the failure.
  returned: always
  type: str
  sample: "reviews v2: 2 of 2 pods ready (HorizontalPodAutoscaler bookinfo/reviews-v2: minReplicas 1 -> 3)"
service:
  description: Name of the service.
  returned: success
  type: str
  sample: reviews
namespace:
  description: Namespace of the service.
  returned: success
  type: str
  sample: bookinfo
version:
  description: Version that was scaled.
  returned: when O(state=present)
  type: str
  sample: v2
deployment:
  description: Deployment of the version.
  returned: when O(state=present)
  type: str
  sample: reviews-v2
pods:
  description: Number of pods to wait for, limited to C(maxReplicas) of the autoscaler.
  returned: when O(state=present)
  type: int
  sample: 2
needed:
  description: Number of pods that O(share) requires, or O(pods). If it is greater than RV(pods), C(maxReplicas) of the autoscaler is too low.
  returned: when O(state=present)
  type: int
  sample: 2
ready:
  description: Number of ready pods. In check mode and with O(wait=false), the number before the task.
  returned: when O(state=present)
  type: int
  sample: 2
patch:
  description: The writes that were made, or that would be made in check mode, in order.
  returned: when there is a plan
  type: list
  elements: dict
  contains:
    api_version: {description: Group and version., type: str, sample: autoscaling/v2}
    kind: {description: Kind., type: str, sample: HorizontalPodAutoscaler}
    namespace: {description: Namespace., type: str, sample: bookinfo}
    name: {description: Name., type: str, sample: reviews-v2}
    operation: {description: "Always V(patch).", type: str, sample: patch}
    patch: {description: The JSON Patch (RFC 6902) with the test operations that guard it., type: list, elements: dict}
    object: {description: "Always V(none).", type: dict}
api_requests:
  description: Number of requests sent to the API server, by method.
  returned: always
  type: dict
  sample: {get: 8, patch: 1, post: 0, delete: 0}
diff:
  description: Values of C(minReplicas) and numbers of pods before and after the task, as text.
  returned: success
  type: dict
  contains:
    before: {description: Before., type: str, sample: "HorizontalPodAutoscaler bookinfo/reviews-v2: minReplicas 1"}
    after: {description: After., type: str, sample: "HorizontalPodAutoscaler bookinfo/reviews-v2: minReplicas 3"}
    before_header: {description: The affected objects., type: str}
    after_header: {description: The affected objects., type: str}
findings:
  description: The problems that were found.
  returned: when refused
  type: list
  elements: dict
  contains:
    code: {description: Stable code that O(force) takes., type: str, sample: CAPACITY_BELOW_SHARE}
    severity: {description: "Always V(error).", type: str, sample: error}
    object: {description: The affected object., type: str, sample: HorizontalPodAutoscaler bookinfo/reviews-v2}
    reason: {description: What is wrong with the object., type: str}
    remedy: {description: What to do., type: str}
error_code:
  description: >-
    Category of the failure: V(invalid_input), V(refused), V(conflict), V(not_ready) or V(api_error).
  returned: failure
  type: str
  sample: not_ready
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import capacity
from ansible_collections.meshops.canary.plugins.module_utils.task import entry


def main() -> None:
    """Run the command as a module."""
    entry.main(capacity)


if __name__ == "__main__":
    main()
