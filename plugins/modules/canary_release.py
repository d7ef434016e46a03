#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_release
short_description: Roll out new versions of several services in one cluster in step, or none of them
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Gives the new versions of several services their shares in step. At each step all services get their pods, then their shares, callees
    first; then all are judged at the same time. If one fails, all go back, callers first.
  - Each service keeps the record and the lock that M(meshops.canary.canary_rollout) gives it. So an interrupted task is resumed by the same
    task, and the playbook C(rollback) works for a single service; the release then takes the others back too.
  - The playbook C(release) runs this module in many clusters, wave by wave. See C(docs/release.md).
options:
  state:
    description:
      - V(checked) checks the rights and the first changes of all services, and writes nothing. It fails if a service could not begin or go on.
      - V(shifted) gives the new versions all requests, step by step. The old versions keep their pods, so rolling back is a change of routes.
      - V(finished) ends the rollouts after V(shifted). Old pods are removed as C(old_replicas) of each service says.
      - V(rolled_back) gives all requests back to the stable versions, callers first, whoever holds the locks.
      - V(present) returns where the release and its services stand.
    type: str
    choices: [present, checked, shifted, finished, rolled_back]
    default: present
  release:
    description:
      - The release. C(docs/release.md) describes its keys, C(docs/release.schema.json) is its JSON schema.
      - C(name) and C(services) are required. Each service has C(service), C(namespace), C(stable) and C(canary), and options of
        M(meshops.canary.canary_rollout). List callees before callers.
    type: dict
    required: true
  cluster:
    description: Name of the cluster in lines, results and the record. Default is O(context), or the address of the API server.
    type: str
    default: ""
  wave:
    description: Name of the wave that the cluster belongs to, for the record.
    type: str
    default: ""
  one_step:
    description:
      - With O(state=shifted), whether the task returns when all services have passed the present step. RV(next) is V(step) then, and the
        same task with RV(record_digests) goes on with the next step.
    type: bool
    default: false
  record_digests:
    description:
      - RV(record_digests) of the task that returned early, for the one that goes on. It proves that nobody has changed the records of the
        services in between. Without it the task resumes them as after an interruption and judges the present step again.
    type: dict
    default: {}
  record_key:
    description: Signs the records of the services, see O(meshops.canary.canary_rollout#module:record_key).
    type: str
  note:
    description: Text for the audit logs, such as who rolled back and why. Default is the name of the release with its ticket.
    type: str
    default: ""
  also_promoted:
    description: With O(state=rolled_back), whether to roll back services whose rollout has ended with a promotion, too.
    type: bool
    default: false
  early:
    description: With O(state=finished), whether to finish although C(keep_old) has not passed.
    type: bool
    default: false
  outside_window:
    description: Whether to go on although the hours of C(window) have not begun or are over. Rolling back needs no window.
    type: bool
    default: false
  watch:
    description:
      - With O(state=present), seconds for which the task shows a line whenever a service stands elsewhere. It ends earlier when the record of the
        release says that it is finished or rolled back. V(0) reads once.
    type: float
    default: 0.0
  holder:
    description: Identity that holds the locks of the services. Default is the run of the playbook.
    type: str
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.attributes
attributes:
  check_mode:
    support: full
    details:
      - With O(state=shifted) RV(planned_changes) has the plans and what they change. The API server validates the first change of the routes of
        each service by a dry run.
  diff_mode:
    support: full
    details:
      - The plans of all services with O(state=shifted) in check mode.
  idempotent:
    support: full
    details:
      - A service whose routes give all requests to its new version stays there. Without O(record_key) the present step of others is judged once more.
seealso:
  - module: meshops.canary.canary_rollout
"""

EXAMPLES = r"""
- name: Check that everything can begin
  meshops.canary.canary_release:
    state: checked
    release: &release
      name: shop-42
      services:
        - {service: ratings, namespace: bookinfo, stable: v1, canary: v2}
        - {service: reviews, namespace: bookinfo, stable: v1, canary: v2}
      steps: [1, 10, 50, 100]

- name: Give the new versions all requests, or none
  meshops.canary.canary_release:
    state: shifted
    release: *release

- name: Remove the old pods
  meshops.canary.canary_release:
    state: finished
    release: *release

- name: Watch it from another terminal
  meshops.canary.canary_release:
    state: present
    release: *release
    watch: 3600

- name: Take everything back
  meshops.canary.canary_release:
    state: rolled_back
    release: *release
    note: "{{ lookup('ansible.builtin.env', 'USER') }}: the checkout is slow"
"""

RETURN = r"""
msg:
  description: State of the release in a sentence.
  returned: always
  type: str
  sample: "Release shop-42: all requests are on the new versions; the old pods stay."
release: {description: "Name of the release.", returned: always, type: str, sample: shop-42}
cluster: {description: "Name of the cluster.", returned: always, type: str, sample: berlin}
ticket: {description: "C(ticket) of the release.", returned: always, type: str, sample: OPS-42}
state: {description: "The option O(state).", returned: always, type: str, sample: shifted}
next:
  description: V(step) if the task returned after a step and the same task goes on with the next one; empty otherwise.
  returned: O(state=shifted), O(state=finished) and O(state=rolled_back)
  type: str
record_digests:
  description: What O(record_digests) of the task that goes on must be.
  returned: O(state=shifted)
  type: dict
reason: {description: "Why the services were rolled back.", returned: on failure after a rollback, type: str}
rolled_back: {description: "Whether all services are back.", returned: with O(state=shifted) on failure after a rollback, type: bool}
services:
  description: The services, in the order of the release.
  returned: always, but for refused options
  type: list
  elements: dict
  contains:
    service: {description: "Name of the Service.", type: str}
    namespace: {description: "Its namespace.", type: str}
    stable: {description: "The version that served.", type: str}
    canary: {description: "The new version.", type: str}
    result:
      description:
        - V(shifted) (all requests are on the new version, and the rollout is not finished), V(promoted), V(rolled_back), V(not_begun) (nothing had to be
          rolled back), V(failed) (could not be rolled back, see RV(services[].msg)), or the phase of its rollout.
      type: str
    msg: {description: "A sentence about it.", type: str}
    rollout: {description: "ID of its rollout.", type: str}
    step: {description: "Number of the step, from 1.", type: int}
    steps: {description: "Number of all steps, 0 before it has begun.", returned: O(state=present), type: int}
    weight: {description: "The new version's percent in the routes now.", returned: O(state=present), type: float}
    holder: {description: "Holder of the lock.", returned: O(state=present), type: str}
    plan: {description: "The plan and the changes, as text.", returned: O(state=checked) and check mode, type: list, elements: str}
    changed: {description: "Whether something would change.", returned: O(state=checked) and check mode, type: bool}
problems:
  description: What is wrong, an entry a service and problem.
  returned: O(state=checked) and check mode
  type: list
  elements: dict
  contains:
    service: {description: "Name of the Service.", type: str}
    namespace: {description: "Its namespace.", type: str}
    code: {description: "Code of the error, as RV(error_code) of the modules.", type: str}
    problem: {description: "What is wrong and what to do.", type: str}
planned_changes:
  description: The plan of all services, a line each.
  returned: O(state=shifted) in check mode
  type: list
  elements: str
record_phase:
  description: Phase in the record of the release, V(shifting), V(shifted), V(rolling_back), V(rolled_back), V(finishing) or V(finished); empty without one.
  returned: O(state=present) and O(state=checked)
  type: str
record:
  description: The record of the release, the ConfigMap C(canary-release-NAME). V(null) without one.
  returned: O(state=present)
  type: dict
lines:
  description: What the task showed while it worked.
  returned: always, but for refused options
  type: list
  elements: str
lines_shown:
  description: V(true) if they were shown while the task worked, because it ran inside the Ansible process.
  returned: with RV(lines), inside the Ansible process
  type: bool
api_requests:
  description: Requests sent to the API server by method.
  returned: always, but for refused options
  type: dict
diff:
  description: The planned changes, for C(--diff).
  returned: O(state=shifted) in check mode
  type: dict
error_code:
  description:
    - V(not_promoted) (the services were rolled back, or not everything could be rolled back or finished), V(interrupted), V(refused),
      V(invalid_input), V(outside_window) (it is not the time of C(window), the services stay where they are), V(held),
      V(conflict), V(api_error), or that of a refused service.
  returned: failure
  type: str
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import release
from ansible_collections.meshops.canary.plugins.module_utils.task import entry


def main() -> None:
    """Run the command as a module."""
    entry.main(release)


if __name__ == "__main__":
    main()
