# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    # The steps of a rollout, and its policies for drift and other rollouts
    DOCUMENTATION = r"""
options:
  steps:
    description:
      - The canary's percents, by default C([1, 10, 25, 50, 100]). Each is a number, or a dictionary with C(weight) and any of C(pause),
        C(deadline), C(gate), C(gate_seconds), C(gate_default), C(analysis), C(cohort) (as the options here) and C(replicas), the
        minimum of ready pods.
      - Each step is above the previous one, or has another cohort. A step of 0 percent has a cohort.
      - The last step is always 100 percent; it is added if it is missing.
    type: list
    elements: raw
  shape:
    description:
      - Generates the steps instead of O(steps). V(linear) adds O(by) percent each time, V(exponential) multiplies by O(by).
    type: str
    choices: [linear, exponential]
  start:
    description: First percent of O(shape), not together with O(steps). Default is 1.
    type: float
  by:
    description: Percent added or factor of O(shape). Default is 10 for V(linear) and 2 for V(exponential).
    type: float
  pause:
    description: Minimum seconds to observe a step.
    type: float
    default: 60.0
  deadline:
    description:
      - Seconds after which a step rolls back because it has no verdict, because its pods are not ready, or because proxies do not have
        its routes. At most a week.
    type: float
    default: 600.0
  gate:
    description:
      - Condition between a passed step and the next one. V(none) has no condition, V(timed) needs another pass after O(gate_seconds),
        V(manual) needs an approval within O(gate_seconds), else O(gate_default) applies.
      - While the rollout waits at a gate the canary is analyzed, and a canary that fails is rolled back.
      - A timed gate without a verdict waits for O(deadline) more; then the rollout rolls back.
    type: str
    choices: [none, timed, manual]
    default: none
  gate_seconds:
    description: Seconds of O(gate), at most a week.
    type: float
    default: 3600.0
  gate_default:
    description: What an unanswered manual gate does.
    type: str
    choices: [rollback, continue]
    default: rollback
  analysis:
    description: Whether steps are analyzed. A step without an analysis waits for O(pause) and passes.
    type: bool
    default: true
  cohort:
    description:
      - Requests that all go to O(canary) from the first step on, in addition to the percent of the other requests. A mapping in
        the format of M(meshops.canary.canary_header_route), with C(headers), C(cookies), C(path), C(methods), C(query) and
        C(source_labels), or with a list of such mappings under C(match).
      - It applies until a step sets another C(cohort), or C({}) for none, and ends with promotion and rollback. Its name on
        the routes is C(rollout); cohorts with other names stay, and their requests do not belong to this one.
      - The analysis covers all requests of the canary, including the cohort. A step with too few of them needs C(analysis=false).
      - Not with O(route_api=replicas), where the ratio of pods cannot select requests.
    type: dict
  approval:
    description:
      - How a manual gate is answered. V(annotation) is an annotation of the Service, C(canary.meshops.io/approve) or
        C(canary.meshops.io/reject), with RV(run.ticket) as its value. The task shows both commands and waits. A ticket is valid for one
        gate, once.
      - V(terminal) is a task of the playbook that asks, such as M(ansible.builtin.pause). The task returns at the gate, so O(return_at) must
        have V(gate); the next task gets O(answer). The canary is not analyzed in between. A rollout with such a gate is refused if the
        playbook has no terminal. A task on another host than the controller cannot check this.
    type: str
    choices: [annotation, terminal]
    default: annotation
  baseline:
    description:
      - Version that runs the image of O(stable) in new pods of its own, which the canary is compared with. It has as many percent
        as the canary, but at most half of the remainder, and none at 100 percent, after the promotion and after a rollback.
      - It has one Deployment without an autoscaler, with 0 replicas between rollouts.
      - Refused if it has no requests at the first step with an analysis. Not with O(route_api=replicas).
    type: str
    default: ""
  keep:
    description:
      - Percents of other versions that stay unchanged, by version. O(stable) and O(canary) share the rest, and the last step of 100 percent
        gives O(canary) all of it. Each earlier step is below that.
      - A rollout is refused if a version that is not listed here has requests, unless O(supersede).
    type: dict
    default: {}
  adapt:
    description:
      - Whether the rollout adapts to the verdicts. Three consecutive passes then skip a step, and a weak failure of a metric that is not
        critical goes one step back (at most twice) instead of ending the rollout.
      - A step with a gate, with another O(cohort) than the previous one, or with C(replicas) is never skipped, nor is the step before the
        last one. Steps without analysis do not count as passes.
    type: bool
    default: false
  image:
    description:
      - Image of the new version, required with O(route_api=replicas), otherwise not allowed. O(stable) is then the Deployment that gets
        it in the end.
    type: str
    default: ""
  container:
    description: Name of the container that gets O(image), by default that of the annotation
      C(kubectl.kubernetes.io/default-container), or the only one.
    type: str
    default: ""
  labels:
    description: Labels of the canary's pods in addition to those of O(stable), for O(route_api=replicas).
    type: dict
    default: {}
  max_error:
    description:
      - Tolerated error of a share, in percentage points, for O(route_api=replicas). V(100) accepts any. O(stable) is scaled up if it has
        too few pods for the share, and an error that cannot be kept is refused before the first step.
    type: float
    default: 100.0
  on_drift:
    description:
      - What to do after an external change (drift) of the weights, or of the O(cohort), during the rollout. V(stop) refuses and shows the
        difference, V(adopt) continues from the current weights, V(restore) restores the rollout's own weights.
      - Drift is checked when a rollout resumes, and before each write of routes or pods, where V(stop) stops the rollout.
        It resumes when the task runs again with V(adopt) or V(restore), or when the change is undone.
      - Drift never stops a rollback, also not that of a canary whose last verdict was a failure.
    type: str
    choices: [stop, adopt, restore]
    default: stop
  pause_gitops:
    description:
      - Whether to pause Argo CD and Flux for the objects that the rollout writes, and until when. The tool applies all other objects as before.
      - Flux is paused by an annotation of the object, C(kustomize.toolkit.fluxcd.io/reconcile) or C(helm.toolkit.fluxcd.io/driftDetection). Argo CD
        has none, so the Application gets an entry of C(ignoreDifferences) for the fields and the sync option C(RespectIgnoreDifferences=true).
        A tool that cannot be paused is a reason to refuse.
      - V(until_end) undoes the pause at the end of the rollout, V(until_handback) after a promotion not before M(meshops.canary.canary_handback) with
        O(meshops.canary.canary_handback#module:state=released). A rollback undoes it in both cases, also one by O(state=rolled_back).
      - What has to be undone is noted in the paused objects, so a run that was killed is cleaned up by the next one.
    type: str
    choices: [never, until_end, until_handback]
    default: never
  supersede:
    description:
      - Whether to supersede an unfinished rollout with another plan, even one that is running while it observes or waits at a
        gate. Versions that are not in the new plan get no more requests from its first step on. The audit log of the
        superseded rollout is kept together with the new one.
    type: bool
    default: false
"""
