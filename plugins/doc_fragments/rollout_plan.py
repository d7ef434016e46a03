# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    # The steps of a rollout, and what it does where others have been at work
    DOCUMENTATION = r"""
options:
  steps:
    description:
      - The canary's percents, as C([1, 10, 50, 100]), or dictionaries with C(weight) and any of C(pause), C(deadline),
        C(gate), C(gate_seconds), C(gate_default), C(analysis), C(cohort) (as the options here) and C(replicas), the ready
        pods the step needs at least.
      - Each step is above the one before, or has another cohort. A step of 0 percent has a cohort.
      - The last step is always 100 percent; it is added if it is missing.
    type: list
    elements: raw
  shape:
    description:
      - Makes the steps instead of O(steps). V(linear) adds O(by) percent each time, V(exponential) multiplies by O(by).
      - Without O(steps) and O(shape), V(exponential).
    type: str
    choices: [linear, exponential]
  start:
    description: First percent of O(shape), not beside O(steps). Default is 1.
    type: float
  stop:
    description: Last percent of O(shape) before the promotion. Default is 100.
    type: float
  by:
    description: Percent added or factor of O(shape). Default is 10 for V(linear) and 2 for V(exponential).
    type: float
  pause:
    description: Least seconds to observe a step. Default is 30.
    type: float
  deadline:
    description: Seconds after which a step without a verdict goes back, a week at most. Default is 600.
    type: float
  gate:
    description:
      - What stands between a good step and the next. V(none) nothing, V(timed) O(gate_seconds) that end with a good
        verdict, V(manual) somebody's approval within O(gate_seconds), else O(gate_default). Default is V(none).
      - A timed gate without a verdict is held for O(deadline) more; then the rollout goes back.
    type: str
    choices: [none, timed, manual]
  gate_seconds:
    description: Seconds of O(gate), a week at most. Default is 3600.
    type: float
  gate_default:
    description: What a manual gate does that nobody answers, V(rollback) or V(continue). Default is V(rollback).
    type: str
    choices: [rollback, continue]
  analysis:
    description: Whether steps are judged at all. Default is V(true).
    type: bool
  cohort:
    description:
      - Requests that go to O(canary) entirely, beside the percent of everybody else, from the first step on. A mapping in
        the words of M(meshops.canary.canary_header_route), with C(headers), C(cookies), C(path), C(methods), C(query) and
        C(source_labels), or with a list of such mappings under C(match).
      - It holds until a step names another C(cohort), or C({}) for none, and ends with promotion and rollback. Its name on
        the routes is C(rollout); cohorts by other names stay, and a request of theirs is never one of this one.
      - Judged are all of the canary's requests, the cohort's too. A step with too few of them needs C(analysis=false).
      - Not with O(route_api=replicas), where no request can be told from another.
    type: dict
  approval:
    description:
      - Where the gates V(manual) are answered, which is done by a task of yours. With V(terminal) such a rollout is refused where the
        playbook has no terminal, for nobody could answer. On another host than the controller this cannot be known.
    type: str
    choices: [annotation, terminal]
    default: annotation
  judged_by:
    description:
      - Options of M(meshops.canary.canary_analysis) by which the steps will be judged, any of C(source), C(metrics), C(prometheus_url),
        C(warm_up) and C(interval). Empty ones count as not given.
      - They are checked beside the plan, so that what can never be judged is refused before a request is moved. Nothing is asked by them, and
        they are not kept.
    type: dict
  baseline:
    description:
      - Version that runs the image of O(stable) in pods of its own, as new as the canary's, and that the canary is to be judged
        beside. It has as many percent as the canary, at most half of what the canary leaves, and none at 100 percent and
        at both ends.
      - Refused if the first step that is judged gives it nothing. Not with O(route_api=replicas).
    type: str
    default: ""
  keep:
    description:
      - Percents of other versions that keep theirs, by version. O(stable) and O(canary) share the rest, and the last step of 100 percent gives
        O(canary) all of it. Each step before is below that.
      - A rollout is refused where a version that is not named here has requests, unless O(supersede).
    type: dict
    default: {}
  adapt:
    description:
      - Whether the verdicts set the pace. Three good verdicts in a row then leave out a step, and a weak failure of a metric that is not
        critical goes one step back (at most twice) instead of ending the rollout.
      - A step with a gate, with another O(cohort) than the one before, or with C(replicas) is never left out, and the last one not jumped to.
        Steps that are not judged count for nothing.
    type: bool
    default: false
  image:
    description:
      - Image of the new version, for O(route_api=replicas) and needed there. O(stable) is then the Deployment that in the end takes it.
    type: str
    default: ""
  container:
    description: Name of the container that gets O(image), by default the first one.
    type: str
    default: ""
  on_drift:
    description:
      - What to do if somebody changed the weights, or the O(cohort), while the rollout was under way. V(stop) refuses and shows the
        difference, V(adopt) goes on from what is there, V(restore) puts the rollout's own weights back.
      - Looked at when a rollout goes on, and with each event after which routes or pods are written, where V(stop) ends it.
        It goes on when it is opened again with V(adopt) or V(restore), or when the edit is undone.
      - A rollout that goes back is not kept from it, nor is a canary whose last verdict was a failure.
    type: str
    choices: [stop, adopt, restore]
    default: stop
  supersede:
    description:
      - Whether to begin in place of an unfinished rollout with another plan, even of one that is alive while it judges
        or waits at a gate. Versions that are not in the new plan get no requests any more from its first step on. The
        trail of the superseded one is kept beside the new one's, see O(run).
    type: bool
    default: false
"""
