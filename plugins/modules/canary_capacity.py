#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_capacity
short_description: Give a version the pods for its share before the share comes
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Starts the pods a version needs for a share of a service's requests, and waits until they are ready. Moves no requests.
  - Where a HorizontalPodAutoscaler owns the number of pods its floor (C(minReplicas)) is raised, never C(replicas), and what
    the floor was is kept on it in the annotation C(canary.meshops.io/floor) until O(state=released), which leaves a floor
    alone that somebody else has set since. Without one the Deployment is scaled, by its subresource C(scale).
  - Pods are taken away by O(state=reduced) alone.
options:
  version:
    description:
      - Version to give pods to, as the routes name it. Exactly one Deployment must have the pods its subset selects.
      - Required if O(state=present) or O(state=reduced).
    type: str
  share:
    description:
      - Percent of the service's requests that the version shall be able to carry. How many pods that takes follows from what
        the pods of O(stable) do for their share, by the CPU its autoscaler measures, else by their number.
    type: float
  pods:
    description:
      - Number of pods, where you know it, instead of O(share).
      - With O(state=reduced) the number that is left, and required.
    type: int
  next_share:
    description:
      - Percent that comes after O(share). The pods for it are started too, but not waited for, so that they are there when it
        is their turn.
    type: float
  last_share:
    description:
      - Percent that comes last. No pods are started for it. But where an autoscaler measures the load of O(stable), and the
        maximum of the autoscaler of O(version) is below what this percent needs, the task is refused with the finding
        V(CAPACITY_BELOW_SHARE) and nothing is written. Else M(meshops.canary.canary_weight) would refuse the percent half way.
    type: float
  stable:
    description: Version whose load is the measure. Required with O(share).
    type: str
  others:
    description:
      - Further versions that have a part of what was O(stable)'s, such as a baseline. Where no load is measured, the pods of
        O(stable) count as just enough for what all of these have together.
    type: list
    elements: str
    default: []
  keep_stable:
    description:
      - Whether to raise the floor of O(stable)'s autoscaler, so that it could take everything back. It becomes the pods that
        O(stable) has now, or those that its measured load asks for when O(version) and O(others) have no requests any more
        where that is more, and at most its maximum. A load that may be from before the last change of its pods or of the
        routes, those of the last 45 seconds, is not asked.
    type: bool
    default: false
  least:
    description: Pods not to go below, whatever O(share) asks for.
    type: int
    default: 1
  headroom:
    description: Factor on the pods that a measured load asks for, V(1) or more.
    type: float
    default: 1.2
  force:
    description:
      - Codes of findings that shall not refuse the task. V(CAPACITY_BELOW_SHARE) makes what O(last_share) found a warning;
        others are none of this module's.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(present) gives O(version) its pods.
      - V(reduced) leaves O(version) O(pods) of them, as the number of its Deployments or the floor of their autoscalers. Nothing
        is waited for, and whether requests still come is not looked at.
      - V(released) gives every autoscaler of the service's versions the floor back that it had before, also after a run that
        was killed. The pods stay until the autoscaler finds them idle.
    type: str
    choices: [present, reduced, released]
    default: present
  wait:
    description: Whether to wait until the pods for O(share), or O(pods), are ready.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait. Then, or as soon as a pod can only go on failing, the task fails with RV(error_code=not_ready) and
        says why; what was asked for stays.
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
- name: Let v2 have the pods for a quarter of the requests, start those for half, and refuse if all could never be had
  meshops.canary.canary_capacity:
    service: reviews
    namespace: bookinfo
    version: v2
    stable: v1
    share: 25
    next_share: 50
    last_share: 100

- name: Then move the requests
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 75, v2: 25}

- name: Three pods, whatever they are for
  meshops.canary.canary_capacity:
    service: reviews
    namespace: bookinfo
    version: v2
    pods: 3

- name: Leave one to the version that was replaced
  meshops.canary.canary_capacity:
    service: reviews
    namespace: bookinfo
    version: v1
    pods: 1
    state: reduced

- name: Give the autoscalers their floors back
  meshops.canary.canary_capacity:
    service: reviews
    namespace: bookinfo
    state: released
"""

RETURN = r"""
msg:
  description: What happened, or why not, in a sentence.
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
  description: Version that was given pods.
  returned: when O(state=present)
  type: str
  sample: v2
deployment:
  description: Its Deployment.
  returned: when O(state=present)
  type: str
  sample: reviews-v2
pods:
  description: Pods that were to be ready, no more than its autoscaler's maximum.
  returned: when O(state=present)
  type: int
  sample: 2
needed:
  description: Pods that O(share) needs, or O(pods). Where that is more than RV(pods), the autoscaler's maximum is too small.
  returned: when O(state=present)
  type: int
  sample: 2
ready:
  description: Pods that are ready; in check mode and with O(wait=false) those that were before.
  returned: when O(state=present)
  type: int
  sample: 2
patch:
  description: What was written, or would be in check mode, in this order.
  returned: when there is a plan
  type: list
  elements: dict
  contains:
    api_version: {description: Group and version., type: str, sample: autoscaling/v2}
    kind: {description: Kind., type: str, sample: HorizontalPodAutoscaler}
    namespace: {description: Namespace., type: str, sample: bookinfo}
    name: {description: Name., type: str, sample: reviews-v2}
    operation: {description: "Always V(patch).", type: str, sample: patch}
    patch: {description: The JSON Patch (RFC 6902) with the tests that make it safe., type: list, elements: dict}
    object: {description: "Always V(none).", type: dict}
api_requests:
  description: How many requests were sent to the API server, by method.
  returned: always
  type: dict
  sample: {get: 8, patch: 1, post: 0, delete: 0}
diff:
  description: Floors and numbers of pods before and after, as text.
  returned: success
  type: dict
  contains:
    before: {description: Before., type: str, sample: "HorizontalPodAutoscaler bookinfo/reviews-v2: minReplicas 1"}
    after: {description: After., type: str, sample: "HorizontalPodAutoscaler bookinfo/reviews-v2: minReplicas 3"}
    before_header: {description: The objects concerned., type: str}
    after_header: {description: The objects concerned., type: str}
findings:
  description: What was found wrong.
  returned: when refused
  type: list
  elements: dict
  contains:
    code: {description: Stable code that O(force) takes., type: str, sample: CAPACITY_BELOW_SHARE}
    severity: {description: "Always V(error).", type: str, sample: error}
    object: {description: The object concerned., type: str, sample: HorizontalPodAutoscaler bookinfo/reviews-v2}
    reason: {description: What was seen there., type: str}
    remedy: {description: What to do., type: str}
error_code:
  description: >-
    Kind of the failure: V(invalid_input), V(refused), V(conflict), V(not_ready) or V(api_error).
  returned: failure
  type: str
  sample: not_ready
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import capacity, entry


def main() -> None:
    """Run the command as a module."""
    entry.main(capacity)


if __name__ == "__main__":
    main()
