#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_rollout
short_description: Lock, state and trail of a progressive rollout
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Keeps what a progressive rollout must not forget, so that it can be killed anywhere and goes on where it was. The tasks between are those of
    M(meshops.canary.canary_weight) and M(meshops.canary.canary_analysis); the role P(meshops.canary.rollout#role) puts them together.
  - The state is the ConfigMap C(canary-rollout-SERVICE), written only as it was read. The lock is the Lease
    C(canary-SERVICE), with the holder's name and an end. A trail of events, each with a hash over the ones before, tells
    who did what and why. What has happened, and where it led, are also Kubernetes Events on the Service.
  - It decides what comes next by a table of phases and events, but moves no request itself.
options:
  state:
    description:
      - V(opened) takes the lock and begins the rollout, or goes on with one that was left unfinished.
      - V(recorded) tells what happened (O(event)) and returns what is next.
      - V(kept) renews the lock until the playbook ends or is killed, for a task with C(async); see O(dead_man). Needs O(holder).
      - V(aborted) ends an unfinished rollout from outside, taking the lock from a living run too, which finds it lost
        before it writes again. The rollout is then V(rolling_back). Without an unfinished one nothing is done.
      - V(closed) gives the lock back. The record stays until the next rollout of the service.
      - V(present) only tells where the rollout stands.
    type: str
    choices: [opened, recorded, kept, aborted, closed, present]
    default: present
  stable:
    description: Version that has the requests now. Needed for O(state=opened).
    type: str
  canary:
    description: Version that is to take over. Needed for O(state=opened).
    type: str
  holder:
    description:
      - Who holds the lock. Default is C(user@host/process) of the running playbook, with the host of the play unless that is localhost, so all
        tasks of one playbook agree. The lock of one that was killed on the same machine is taken over at once.
    type: str
  lease_seconds:
    description: Seconds at least after which the lock of a silent holder ends. It outlasts all waits of the plan.
    type: int
    default: 900
  run:
    description: RV(run.id) a task belongs to. Refused if another run has taken its place, whose report V(closed) still has.
    type: str
  event:
    description:
      - What happened, for O(state=recorded). Which events are possible depends on the phase.
      - V(ready) the pods for the next share are, V(shifted) every proxy holds the new routes; V(pass), V(fail) and
        V(inconclusive) are verdicts; V(approved) and V(rejected) answer a gate; V(drained) says that a version gets no
        requests any more; V(done) ends promotion and rollback;
        V(deadline), V(abort), V(error) and V(drift) are what can go wrong; V(last_step) and V(step_back) follow by themselves.
    type: str
    choices: [ready, shifted, pass, fail, inconclusive, approved, rejected, last_step, step_back, drained, deadline, drift, abort, error, done]
  then:
    description:
      - Events for which nothing must be done after O(event), or after O(state=opened); the same write records them. They are met one after the
        other, but for those before which the plan asks for more. V(pass) is for a step that is neither judged nor paused, V(ready) for one that
        names no pods, V(drained) and V(done) end a promotion. Leave out those before which you have work of your own, such as checks or pods.
    type: list
    elements: str
    default: []
    choices: [pass, ready, drained, done]
  verdict:
    description: What M(meshops.canary.canary_analysis) returned, to be kept in the trail.
    type: dict
  note:
    description: A sentence for the trail, such as who approved.
    type: str
    default: ""
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.rollout_dead_man
  - meshops.canary.rollout_plan
  - meshops.canary.attributes
  - meshops.canary.service
  - meshops.canary.service.by_pods
attributes:
  check_mode:
    support: full
    details:
      - With O(state=opened) the whole plan is returned in RV(plan_text) and nothing is written.
  diff_mode:
    support: full
    details:
      - The weights as they are beside the plan.
  idempotent:
    support: partial
    details:
      - Opening a rollout that is promoted, and still is, changes nothing. Recording is no state but a step.
notes:
  - By pods (O(route_api=replicas)) the last step is below 100 percent, for all pods are new by the promotion. A share counts as kept while the
    canary has the pods that were written for it, whatever an autoscaler does to stable's.
  - Rights are V(get), V(create) and V(patch) on C(configmaps) and C(leases.coordination.k8s.io) in the service's namespace,
    and V(create) on C(events) and V(get) on C(services) for the Events.
  - The phases are V(preparing) (capacity), V(shifting) (weights), V(observing) (analysis), V(gated) (approval),
    V(promoting), V(rolling_back), and the ends V(promoted), V(rolled_back) and V(stopped).
seealso:
  - module: meshops.canary.canary_analysis
  - module: meshops.canary.canary_weight
"""

EXAMPLES = r"""
- name: Show the plan
  meshops.canary.canary_rollout:
    service: reviews
    namespace: bookinfo
    state: opened
    stable: v1
    canary: v2
    steps: [1, 10, 50, 100]
  check_mode: true
  register: planned

- name: Begin, or go on
  meshops.canary.canary_rollout:
    service: reviews
    namespace: bookinfo
    state: opened
    stable: v1
    canary: v2
    steps:
      - 1
      - weight: 10
        pause: 120
      - weight: 50
        gate: manual
  register: rollout

- name: Begin with testers alone, and let everybody else follow
  meshops.canary.canary_rollout:
    service: reviews
    namespace: bookinfo
    state: opened
    stable: v1
    canary: v2
    steps:
      - weight: 0
        cohort:
          headers: {end-user: {exact: testuser}}
        analysis: false
        gate: manual
      - 10
      - 50
  register: rollout

- name: Say that every proxy holds the share, which canary_weight has written
  meshops.canary.canary_rollout:
    service: reviews
    namespace: bookinfo
    state: recorded
    event: shifted
  register: rollout

- name: Record the verdict of canary_analysis, and learn what is next
  meshops.canary.canary_rollout:
    service: reviews
    namespace: bookinfo
    state: recorded
    event: "{{ judged.verdict }}"
    verdict: "{{ judged }}"
  register: rollout

- name: Give the lock back, and get the report
  meshops.canary.canary_rollout:
    service: reviews
    namespace: bookinfo
    state: closed
"""

RETURN = r"""
msg:
  description: Where the rollout stands, in a sentence.
  returned: always
  type: str
  sample: "reviews v1 -> v2: observing, step 2 of 4, 10%"
state:
  description: What was asked for.
  returned: success
  type: str
  sample: recorded
run:
  description: The rollout. V(null) if none is recorded, which only O(state=present) allows.
  returned: success
  type: dict
  contains:
    id: {description: "Its name.", type: str, sample: 5f0c2a91}
    phase:
      description: V(preparing), V(shifting), V(observing), V(gated), V(promoting), V(rolling_back), V(promoted), V(rolled_back) or V(stopped).
      type: str
    over: {description: "Whether it has ended.", type: bool}
    begun: {description: "Whether anything is recorded of it beside that it was opened, or gone on with.", type: bool}
    at: {description: "Index of the step, from 0.", type: int}
    last: {description: "Whether that is the last step.", type: bool}
    weight: {description: "The canary's percent in that step.", type: float}
    since: {description: "Unix time at which the phase began.", type: float}
    seconds_in_phase: {description: "Seconds since then.", type: float}
    seconds_left: {description: "Seconds until the phase's deadline, V(null) when it is over.", type: float}
    waits_for: {description: "What the phase waits for, in words.", type: str}
    reason: {description: "Why it is in this phase.", type: str}
    stable: {description: "The version that had the requests.", type: str}
    canary: {description: "The version that takes over.", type: str}
    baseline: {description: "The version to judge it beside, empty for stable.", type: str}
    resting: {description: "Baselines whose pods go at the end, also that of a rollout that was superseded.", type: list, elements: str}
    weights_wanted:
      description: Percents the routes must have in this phase, by version.
      type: dict
      sample: {v1: 90.0, v2: 10.0}
    cohort: {description: "The cohort as it was last written, in words; empty for none.", type: str}
    cohort_wanted:
      description: The cohort that must be routed in this phase, as options of M(meshops.canary.canary_header_route); V({}) for none.
      type: dict
      sample: {name: rollout, match: [{headers: {end-user: {exact: testuser}}}], weights: {v2: 100}, order: 1000}
    share_ahead:
      description: Percent whose pods may be started now; that of the next step, or of those that come soon after. V(none) at the last step.
      type: float
    cohort_due: {description: "Whether that is to be written before the weights.", type: bool}
    end_cohorts: {description: "Cohorts that must go with the weights, for M(meshops.canary.canary_weight).", type: list, elements: str}
    stopped_in: {description: "Phase in which it was stopped.", type: str}
    doubted: {description: "Whether the last verdict was a weak failure.", type: bool}
    image_before: {description: "Image that stable had at first, with O(route_api=replicas), else empty.", type: str}
    written: {description: "Percents that were last written, by version.", type: dict}
    safe: {description: "Percents to go back to.", type: dict}
    calm: {description: "Good verdicts in a row.", type: int}
    back: {description: "Steps taken back so far.", type: int}
    evidence: {description: "State of the tests, for the next analysis.", type: dict}
    plan_hash: {description: "Changes when anything in the plan does.", type: str}
    service: {description: "Name of the service.", type: str}
    namespace: {description: "Its namespace.", type: str}
    holder: {description: "Who has the lock, empty for nobody.", type: str, sample: ada@ops1/4711}
    lease_until: {description: "When the lock ends unless it is renewed.", type: str}
    ticket: {description: "What an answer to the manual gate must name; empty where there is none.", type: str, sample: 4b1d09ac-3-1764439200}
    dead_man: {description: "The Job that takes the requests back if the run dies, empty without.", type: str}
step:
  description: The step the rollout is at, with all its fields. C(cohort) is the list of matches that holds there.
  returned: success
  type: dict
  sample: {weight: 10.0, pause: 30.0, deadline: 600.0, replicas: null, gate: none, gate_seconds: 3600.0, gate_default: rollback, analysis: true, cohort: []}
steps: {description: "All steps, each with the C(weights) that its routes have.", returned: success, type: list, elements: dict}
plan_text: {description: "The plan as lines for people.", returned: success, type: list, elements: str}
variables:
  description: The plan as variables of the playbook C(rollout), but for service, namespace and the two versions.
  returned: success
  type: dict
  sample: {steps: [1, 10, 50, 100], pause: 30}
beats: {description: "How often the lock was renewed.", returned: O(state=kept), type: int}
events: {description: "Entries of the trail so far.", returned: success, type: int}
drift:
  description: How somebody changed the weights in mid-run, in words; empty if nobody did.
  returned: success
  type: str
  sample: "reviews: v1 90% -> 50%, v2 10% -> 50% (as this rollout wrote it -> as it is now)"
resumed: {description: "Whether O(state=opened) goes on with a rollout that was begun before.", returned: success, type: bool}
report:
  description:
    - Everything for a report, with plan, trail and numbers, as docs/rollout-report.schema.json describes it. Sealed, so that the filter
      P(meshops.canary.rollout_altered#filter) finds later edits.
  returned: O(state=closed) and O(state=present) with a record
  type: dict
  contains:
    events: {description: "The trail, each entry with its hash.", type: list, elements: dict}
    weights: {description: "Percents that were last written, by version.", type: dict}
    intact: {description: "Whether the stored record is as it was written.", type: bool}
    altered: {description: "What in the stored record is not, in words.", type: list, elements: str}
    head: {description: "One hash over all of the report.", type: str}
    first_altered: {description: "Index of the first entry that does not follow from the ones before.", type: int}
    harmed: {description: "Requests the canary failed while it was watched.", type: int}
    began: {description: "When the rollout began.", type: str}
    ended: {description: "When it ended, V(null) if it has not.", type: str}
api_requests:
  description: Requests sent to the API server by method.
  returned: success
  type: dict
  sample: {get: 4, patch: 2, post: 1, delete: 0}
error_code:
  description: Kind of failure, such as V(held) (somebody else has the lock), V(superseded), V(over) (somebody has ended it), V(drift), V(refused), V(conflict).
  returned: failure
  type: str
  sample: held
holder: {description: "Who has the lock, with RV(error_code=held).", returned: failure, type: str}
until: {description: "When that lock ends, with RV(error_code=held).", returned: failure, type: str}
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import entry, rollout


def main() -> None:
    """Run the command as a module."""
    entry.main(rollout)


if __name__ == "__main__":
    main()
