# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    # The Job that watches a rollout
    DOCUMENTATION = r"""
options:
  dead_man:
    description:
      - With O(state=opened) makes a Job beside the rollout that takes the requests back when nobody is heard of for O(dead_man.after)
        seconds. It reads from the record how each routing object goes back, by a JSON Patch that tests what it replaces, so an edit by
        hand is left as it is. Then it writes into the record that the rollout goes back; the next run ends it.
      - The Job does nothing while the lock is renewed. A task with O(state=kept), C(async) and C(poll=0) beside the others is the
        heart that does so, four times in O(dead_man.after), as long as the playbook's process lives (Linux only). Without
        a heart the Job waits for as long as the lock lasts (O(lease_seconds)) if that is longer.
      - A rollout that is being promoted is left as it is. With shares by the ratio of pods there is no dead man.
      - With its ServiceAccount, Role, RoleBinding and ConfigMap, all of which belong to it, it is removed by O(state=closed) when the
        rollout is over. One that has acted is there for an hour, for its log. An Event on the Service says what it did.
    type: dict
    suboptions:
      image:
        description: Image with C(python3) 3.9 or later. The program it runs needs nothing else.
        type: str
        default: python:3.13-alpine
      after:
        description: Seconds of silence that count as death, 10 to 86400.
        type: float
        default: 60.0
notes:
  - Rights for O(dead_man) are V(get), V(create), V(patch) and V(delete) on C(jobs.batch) and V(create) on C(serviceaccounts), C(roles)
    and C(rolebindings).
"""
