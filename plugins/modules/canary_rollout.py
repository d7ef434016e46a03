#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_rollout
short_description: Roll out a new version step by step, up to its promotion or rollback
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Raises the share of a new version step by step. Before each step it starts the pods that the share needs; then it sets the weights and
    waits until the proxies have them; then it compares the requests of both versions. At the end the new version is promoted, or all
    requests go back to the old version. A whole canary is one task.
  - Can be interrupted or killed at any time. The same task continues where the last one ended. The state is in the ConfigMap
    C(canary-rollout-SERVICE), which is written with optimistic locking. It has an audit log of who did what and why, in which each
    entry has a hash over the previous ones. The main transitions are also Kubernetes Events on the Service.
  - Only one playbook works on a service at a time. The lock is the Lease C(canary-SERVICE), with a holder and an expiry.
  - With O(return_at) the task returns early, so that the playbook runs tasks of its own, such as checks. The role
    P(meshops.canary.rollout#role) uses this for its hooks.
options:
  state:
    description:
      - V(promoted) with O(stable) begins a rollout of O(canary), or continues it, and works until the canary is promoted or rolled back, or
        until O(return_at). If the canary is promoted already, nothing changes.
      - V(promoted) without O(stable) promotes O(canary) at once. First it gets the pods for all requests, then the requests. There are
        no steps, no analysis and no record. Refused while a rollout of the service is under way.
      - V(rolled_back) sends all requests back to the stable version, from any state and whoever holds the lock. A rollout that
        is under way is aborted; its playbook stops before its next write. Works without a recorded rollout too, and for canaries by pods.
      - V(present) only returns where the rollout stands.
    type: str
    choices: [promoted, rolled_back, present]
    default: present
  return_at:
    description:
      - Points at which the task returns before the end, with their name in RV(next). The same task continues from there.
      - V(step) is the end of a step after which another one follows. V(gate) is a manual gate, see O(answer) and O(approval).
      - V(before) is before the first step, V(before_step) before each step, V(after_step) after each passed analysis and before the next
        step, V(on_promote) after all requests go to the canary and before old pods are removed, V(on_rollback) after a rollback.
      - A point at which the task returned is not repeated when the same playbook continues. If the playbook is killed in between, its tasks
        for that point run again.
    type: list
    elements: str
    choices: [step, gate, before, before_step, after_step, on_promote, on_rollback]
    default: []
  error:
    description:
      - Message of a failure of the playbook's own tasks after RV(next). The canary is rolled back, a promotion is stopped, and after
        V(on_rollback) the message is a warning.
    type: str
    default: ""
  record_digest:
    description:
      - RV(record_digest) of the task that returned early, for the one that goes on. It proves that nobody has changed the record of the
        rollout in between. With another value the current step is judged again, as after an interruption.
      - Required to go on where a task returned early.
    type: str
    default: ""
  record_key:
    description:
      - Signs the record and the report of the rollout (HMAC-SHA256), such as a value from ansible-vault. An interrupted rollout whose record
        has a valid signature goes on with the evidence it has; without one, whoever may edit the record could have written it, so the current
        step is judged again. See C(docs/security.md).
    type: str
  answer:
    description: Answer to the manual gate at which the previous task returned (RV(next=gate)). Without effect elsewhere.
    type: str
    choices: ["", approved, rejected]
    default: ""
  must_promote:
    description:
      - Whether the task fails if the rollout ends otherwise than promoted, with RV(error_code=not_promoted) and all other return values.
    type: bool
    default: true
  note:
    description: Text for the audit log, such as who started the rollout or rolled it back.
    type: str
    default: ""
  stable:
    description:
      - Version that serves now, as the routes name it (a subset or a Service); with O(route_api=replicas) its Deployment.
      - With O(state=rolled_back) the version to roll back to. Default is that of the last rollout, if it was about the versions that serve
        now, and it had most requests before the routes were changed, or serves beside the version that O(canary) names, or its record is
        signed with O(record_key). Without such a rollout it is the version that had most requests before the routes were changed.
    type: str
  canary:
    description:
      - The new version. With O(route_api=replicas) the canary's Deployment, which is created if it is missing.
      - Required for O(state=promoted). With O(state=rolled_back) nothing changes unless a rollout of this version is under way.
    type: str
  capacity:
    description:
      - Whether to scale versions up before they get requests, and to keep enough pods of O(stable) until the promotion to serve all
        requests again. minReplicas of an autoscaler is raised, and restored at the end; replicas that an autoscaler owns are not written.
      - If maxReplicas of the canary's autoscaler is too small for the last step, the rollout rolls back before any request is shifted.
      - With V(false) only the C(replicas) of a step are used. Has no effect with O(route_api=replicas).
    type: bool
    default: true
  capacity_timeout:
    description:
      - Seconds to wait for the pods of a version that gets all requests, with O(state=rolled_back) and with O(state=promoted) without
        O(stable). In a rollout it is O(deadline).
      - A rollback continues after 60 seconds by default, with the pods that are ready. A promotion fails after 300 seconds by
        default, before any request is shifted.
    type: float
  headroom:
    description: Factor on the number of pods that the measured load of O(stable) requires.
    type: float
    default: 1.2
  pods_ahead:
    description: Whether to start the pods of the next step together with those of this one. Requires O(capacity).
    type: bool
    default: true
  retire_after:
    description: Seconds that the old version keeps its pods after the promotion.
    type: float
    default: 60.0
  drain:
    description:
      - Seconds without a request to a version, as counted by its callers' proxies, before its pods are scaled down. Must be longer than the
        slowest request. V(0) skips this. If the proxies cannot be read, the task only waits for this time.
    type: float
    default: 5.0
  old_replicas:
    description: Pods of the old version after that, or minReplicas of its autoscaler. Unchanged by default.
    type: str
  force:
    description:
      - Codes of findings that do not refuse changes of weights and pods, as in RV(meshops.canary.canary_weight#module:findings[].code).
        C(docs/findings.md) marks those that can be forced.
    type: list
    elements: str
    default: []
  cohorts:
    description: Whether O(state=rolled_back) also removes the cohorts of the user. The cohort of a rollout is always removed.
    type: bool
    default: false
  holder:
    description:
      - Identity of the lock's holder. Default is C(user@host/process) of the running playbook, with the host of the play unless that is
        localhost, so all tasks of one playbook have the same identity, whatever its program is called and wherever a task runs. The lock
        of a playbook that was killed on the same machine is taken over at once.
    type: str
  lease_seconds:
    description: Minimum seconds after which the lock expires without a renewal. It is extended to the longest wait of the plan.
    type: int
    default: 900
  textfile:
    description:
      - File for the rollout's metrics, for the textfile collector of node_exporter, such as C(/var/lib/node_exporter/reviews.prom). Its
        directory must exist. Replaced after each change of the share, each verdict, and at the end.
    type: path
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.rollout_watchdog
  - meshops.canary.rollout_plan
  - meshops.canary.metrics
  - meshops.canary.prometheus
  - meshops.canary.attributes
  - meshops.canary.service
  - meshops.canary.service.by_pods
attributes:
  check_mode:
    support: full
    details:
      - RV(plan_text) has the plan and RV(planned_changes) what it changes, by the present load. The API server validates the first change of
        the routes by a dry run. Nothing is written, and the task does not return early.
  diff_mode:
    support: full
    details:
      - With O(state=promoted) in check mode the current weights and the plan; otherwise the change of the weights.
  idempotent:
    support: partial
    details:
      - Promoting a version that is promoted already changes nothing, nor does a second rollback. After a rollback O(state=promoted) is a
        new attempt.
notes:
  - An empty value (V(""), V([]) or V({})) counts as not set, so that the blank answer of a survey means the default.
  - While it works the task shows a line for each event, with the callbacks P(meshops.canary.canary_steps#callback) and
    P(meshops.canary.canary_line#callback) or without them. On another host, with C(become) or with C(async), it runs as an ordinary
    module, whose lines (RV(lines)) appear only at its end.
  - On SIGTERM (with which AWX cancels a job), SIGHUP, or when its playbook is killed, a rollout ends at a safe point with
    RV(error_code=interrupted). The requests stay as they are, the lock is released (with O(watchdog) it stays, so that the Job acts),
    and the same task continues. A Ctrl-C on a terminal ends the playbook in the same way; with one of the two callbacks it prompts for
    an action first.
  - A failure of a part of the rollout rolls the canary back. During a promotion it stops the rollout instead, and the same task finishes
    the promotion.
  - If the rollback itself fails, the task fails with the cause; the same task continues the rollback.
  - With O(route_api=replicas) the last step is below 100 percent, because the promotion replaces all pods. A share is without drift as
    long as the canary has the pods that were written for it, whatever an autoscaler does to those of stable. There are no proxies to
    count at, so the steps need O(analysis=false), or O(metrics) of kind V(value) with queries of your own.
  - Rights are those of M(meshops.canary.canary_weight), M(meshops.canary.canary_header_route), M(meshops.canary.canary_capacity) and
    M(meshops.canary.canary_analysis), with O(route_api=replicas) those of M(meshops.canary.canary_replicas); and V(get), V(create) and
    V(patch) on C(configmaps) and C(leases.coordination.k8s.io) in the service's namespace, V(create) on C(events), and V(get) on
    C(services). C(docs/rights.md) has them as complete Roles, Rollout and Replicas. O(state=present) only needs V(get) on
    C(configmaps) and C(leases.coordination.k8s.io), and V(list) on what it compares with the record.
  - The phases are V(preparing) (pods), V(shifting) (weights), V(observing) (analysis), V(gated) (approval), V(promoting),
    V(rolling_back), and the ends V(promoted), V(rolled_back) and V(stopped).
seealso:
  - module: meshops.canary.canary_analysis
  - module: meshops.canary.canary_weight
  - module: meshops.canary.canary_info
"""

EXAMPLES = r"""
- name: Roll out v2 of reviews, up to its promotion or its rollback
  meshops.canary.canary_rollout:
    state: promoted
    service: reviews
    namespace: bookinfo
    stable: v1
    canary: v2
    steps: [1, 10, 50, 100]
    pause: 120

- name: Display the plan, with the pods that it needs and the first change of the routes
  meshops.canary.canary_rollout:
    state: promoted
    service: reviews
    namespace: bookinfo
    stable: v1
    canary: v2
    steps: [1, 10, 50, 100]
  check_mode: true
  register: planned

- name: Begin with testers only, and let a person decide twice
  meshops.canary.canary_rollout:
    state: promoted
    service: reviews
    namespace: bookinfo
    stable: v1
    canary: v2
    steps:
      - weight: 0
        cohort:
          headers: {end-user: {exact: testuser}}
        analysis: false
        gate: manual
      - 10
      - weight: 50
        gate: manual
    must_promote: false
  register: rollout

- name: Judge by Prometheus, with a limit of your own, while a Job in the cluster watches the playbook
  meshops.canary.canary_rollout:
    state: promoted
    service: reviews
    namespace: bookinfo
    stable: v1
    canary: v2
    prometheus_url: http://prometheus.example.com:9090
    metrics:
      - {name: errors, kind: errors, limit: 1, critical: true}
      - {name: latency, kind: latency, max_ratio: 1.3}
    watchdog: {after: 60}

# The file canary.yml: checks of your own after each passed step. The file includes itself until the rollout is over.
- name: Advance the rollout
  meshops.canary.canary_rollout:
    state: promoted
    service: reviews
    namespace: bookinfo
    stable: v1
    canary: v2
    return_at: [after_step]
    error: "{{ canary_failure | default('') }}"
    record_digest: "{{ (rollout | default({})).record_digest | default('') }}"
  register: rollout

- name: Check the canary
  when: rollout.next == 'after_step'
  block:
    - name: Request the page of a tester
      ansible.builtin.uri:
        url: https://shop.example.com/reviews/0
  rescue:
    - name: Keep the failure for the rollout
      ansible.builtin.set_fact:
        canary_failure: "the page fails at {{ rollout.step.weight }} %"

- name: Advance the rollout further
  ansible.builtin.include_tasks: canary.yml
  when: rollout.next | length > 0

- name: Gather the state of the rollout
  meshops.canary.canary_rollout:
    service: reviews
    namespace: bookinfo
  register: rollout

- name: Roll back, whatever is under way
  meshops.canary.canary_rollout:
    state: rolled_back
    service: reviews
    namespace: bookinfo
    stable: v1
    note: "{{ lookup('ansible.builtin.env', 'USER') }}: the checkout is slow"

- name: Promote v2 at once
  meshops.canary.canary_rollout:
    state: promoted
    service: reviews
    namespace: bookinfo
    canary: v2

- name: Roll out an image without a mesh, by the ratio of pods
  meshops.canary.canary_rollout:
    state: promoted
    service: shop
    namespace: shop
    route_api: replicas
    stable: shop
    canary: shop-canary
    image: registry.example.com/shop:1.16.1
    steps: [10, 25, 50]
    max_error: 15
    analysis: false
"""

RETURN = r"""
msg:
  description: State of the rollout in a sentence.
  returned: always
  type: str
  sample: "reviews v1 -> v2: observing, step 2 of 4, 10%"
next:
  description:
    - The point of O(return_at) at which the task returned. Run the tasks for it, then the same task again. Empty if the rollout is over.
  returned: O(state=promoted) and O(state=rolled_back)
  type: str
  sample: after_step
record_digest:
  description: What O(record_digest) of the task that goes on must be. Empty if the rollout is over.
  returned: O(state=promoted)
  type: str
  sample: 5f0c2a91.9b1c0e6f0c8fdd01c2a58ad4d8e2b1f5f3f0a4f8ed1c2b3a49586776a5b4c3d2
lines:
  description: What the task showed while it worked, a line for each event. In the same order, without times.
  returned: O(state=promoted) and O(state=rolled_back)
  type: list
  elements: str
  sample: ["reviews v1 -> v2 | step 1/4 | [#-------------------] 1% | observing | v1 99%, v2 1% | 600 s left"]
lines_shown:
  description: V(true) if they were shown while the task worked, because it ran inside the Ansible process.
  returned: with RV(lines), inside the Ansible process
  type: bool
messages:
  description: What was done, a sentence each.
  returned: O(state=rolled_back), and O(state=promoted) without O(stable)
  type: list
  elements: str
  sample: ["reviews: v1 100%, v2 0%", "The stable version of the last rollout is v1."]
planned_changes:
  description: The changes of routes and pods at each step, by the present load.
  returned: O(state=promoted) with O(stable), in check mode
  type: list
  elements: str
  sample: ["step 1 (planned): routes v1 99%, v2 1%; Deployment reviews-v2: replicas 0 -> 1"]
state:
  description: The option O(state).
  returned: success
  type: str
  sample: promoted
run:
  description: The rollout. V(null) if none is recorded.
  returned: success
  type: dict
  contains:
    id: {description: "ID of the rollout.", type: str, sample: 5f0c2a91}
    phase:
      description: V(preparing), V(shifting), V(observing), V(gated), V(promoting), V(rolling_back), V(promoted), V(rolled_back) or V(stopped).
      type: str
    over: {description: "Whether it has ended.", type: bool}
    begun: {description: "Whether any event was recorded besides opening and resuming.", type: bool}
    at: {description: "Index of the step, from 0.", type: int}
    last: {description: "Whether that is the last step.", type: bool}
    weight: {description: "The canary's percent in that step.", type: float}
    since: {description: "Unix time at which the phase began.", type: float}
    seconds_in_phase: {description: "Seconds since then.", type: float}
    seconds_left: {description: "Seconds until the phase's deadline, V(null) when it is over.", type: float}
    waits_for: {description: "What the phase waits for, as text.", type: str}
    reason: {description: "Why the rollout is in this phase.", type: str}
    stable: {description: "The version that had the requests.", type: str}
    canary: {description: "The version that replaces stable.", type: str}
    baseline: {description: "The version that the canary is compared with, empty for stable.", type: str}
    idle_versions: {description: "Versions to scale to zero at the end: the baseline, also that of a superseded rollout.", type: list, elements: str}
    desired_weights:
      description: Percents the routes must have in this phase, by version.
      type: dict
      sample: {v1: 90.0, v2: 10.0}
    cohort: {description: "Description of the cohort as last written; empty without one.", type: str}
    desired_cohort:
      description: The cohort that must be routed in this phase, as options of M(meshops.canary.canary_header_route); V({}) for none.
      type: dict
      sample: {name: rollout, match: [{headers: {end-user: {exact: testuser}}}], weights: {v2: 100}, order: 1000}
    share_ahead:
      description: Percent whose pods can start now, which is that of the next step, or of a later one that begins soon after it. V(null) at the last step.
      type: float
    cohort_due: {description: "Whether this cohort must be written before the weights.", type: bool}
    end_cohorts: {description: "Cohorts to remove together with the weights, for M(meshops.canary.canary_weight).", type: list, elements: str}
    stopped_in: {description: "Phase in which it was stopped.", type: str}
    weak_failure: {description: "Whether the last verdict was a weak failure.", type: bool}
    image_before: {description: "Image of stable at the beginning, with O(route_api=replicas), else empty.", type: str}
    written: {description: "Percents that were last written, by version.", type: dict}
    safe: {description: "Percents that a rollback writes.", type: dict}
    consecutive_passes: {description: "Consecutive passes.", type: int}
    step_backs: {description: "Steps back taken so far.", type: int}
    evidence: {description: "State of the tests, for the next analysis.", type: dict}
    plan_hash: {description: "Changes when anything in the plan does.", type: str}
    service: {description: "Name of the service.", type: str}
    namespace: {description: "Its namespace.", type: str}
    holder: {description: "Holder of the lock, empty without one.", type: str, sample: ada@ops1/4711}
    lease_until: {description: "When the lock expires without a renewal.", type: str}
    ticket: {description: "Ticket that an answer to the manual gate must contain; empty without a manual gate.", type: str, sample: 4b1d09ac-3-1}
    watchdog: {description: "Name of the watchdog Job, empty without one.", type: str}
step:
  description: The step the rollout is at, with all its fields. C(cohort) is the list of its matches.
  returned: success
  type: dict
  sample: {weight: 10.0, pause: 30.0, deadline: 600.0, replicas: null, gate: none, gate_seconds: 3600.0, gate_default: rollback, analysis: true, cohort: []}
steps: {description: "All steps, each with the C(weights) of its routes.", returned: success, type: list, elements: dict}
plan_text: {description: "The plan as lines of text.", returned: success, type: list, elements: str}
variables:
  description: The plan as variables of the playbook C(rollout), without service, namespace and the two versions.
  returned: success
  type: dict
  sample: {steps: [1, 10, 50, 100], pause: 30}
events: {description: "Entries of the audit log so far.", returned: success, type: int}
drift:
  description: Description of an external change (drift) of the weights; empty without one.
  returned: success
  type: str
  sample: "reviews: v1 90% -> 50%, v2 10% -> 50% (written by this rollout -> found now)"
resumed: {description: "Whether the task resumed an unfinished rollout of an earlier playbook.", returned: success, type: bool}
report:
  description:
    - The report with plan, audit log and numbers, in the format of docs/rollout-report.schema.json. It has checksums, so that the filter
      P(meshops.canary.rollout_tampered#filter) finds later changes. With O(record_key) it is signed (RV(report.signature)).
  returned: with a record, except O(state=promoted) in check mode
  type: dict
  contains:
    phase: {description: "Phase of the rollout, as in RV(run.phase).", type: str}
    reason: {description: "Why it is in this phase.", type: str}
    events: {description: "The audit log, each entry with its hash.", type: list, elements: dict}
    weights: {description: "Percents that were last written, by version.", type: dict}
    verified: {description: "Whether the stored record is as it was written.", type: bool}
    tampered: {description: "What in the stored record is not as it was written.", type: list, elements: str}
    head: {description: "One hash over all of the report.", type: str}
    signature: {description: "HMAC-SHA256 of RV(report.head) with O(record_key); empty without one.", type: str}
    first_tampered: {description: "Index of the first entry whose hash does not match.", type: int}
    failed_requests: {description: "Failed requests of the canary while it was analyzed.", type: int}
    began: {description: "When the rollout began.", type: str}
    ended: {description: "When it ended, V(null) if it has not.", type: str}
api_requests:
  description: Requests sent to the API server by method.
  returned: success
  type: dict
  sample: {get: 4, patch: 2, post: 1, delete: 0}
diff:
  description: The difference between before and after, for C(--diff).
  returned: when there is one
  type: dict
  contains:
    before: {description: "The weights before.", type: str}
    after: {description: "The weights after, or the plan.", type: str}
error_code:
  description:
    - V(not_promoted) (the rollout ended otherwise, RV(report.reason) says why), V(interrupted) (a signal ended the task; run it again),
      V(held) (another holder has the lock), V(superseded) and V(over) (another run ended the rollout), V(drift) (an external change, found at the
      beginning), V(refused), V(invalid_input), V(conflict), or that of a failed rollback, such as V(api_error).
    - With V(not_promoted) and V(interrupted) all other values are returned too.
  returned: failure
  type: str
  sample: not_promoted
holder: {description: "Holder of the lock, with RV(error_code=held).", returned: failure, type: str}
until: {description: "When that lock expires, with RV(error_code=held).", returned: failure, type: str}
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import rollout
from ansible_collections.meshops.canary.plugins.module_utils.task import entry


def main() -> None:
    """Run the command as a module."""
    entry.main(rollout)


if __name__ == "__main__":
    main()
