# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    # The Job that watches a rollout
    DOCUMENTATION = r"""
options:
  watchdog:
    description:
      - Creates a Job that rolls the routes back when the run sends no sign of life for O(watchdog.after) seconds (a
        dead man's switch). The record has a JSON Patch for each routing object, which tests what it replaces, so an external change stays
        as it is. Then the Job records that the rollout is rolling back; the next run finishes it. C({}) creates no Job.
      - The task sends four heartbeats in O(watchdog.after) seconds as long as it works. While the playbook runs tasks of its own (see
        O(return_at)) there are no heartbeats, and the Job waits until the lock expires (O(lease_seconds)).
      - A rollout that is V(promoting) stays as it is. With O(route_api=replicas) there is no watchdog.
      - The Job is removed when the rollout has ended, together with the ServiceAccount, Role, RoleBinding and ConfigMap that it
        owns. A Job that has acted stays for an hour for its log. An Event on the Service describes what it did.
    type: dict
    suboptions:
      image:
        description: Image with C(python3) 3.9 or later. The program needs nothing else.
        type: str
        default: python:3.13-alpine
      after:
        description: Seconds without a sign of life after which the Job acts, 10 to 86400.
        type: float
        default: 60.0
      pull_secrets:
        description: Names of Secrets of the namespace with which the image is pulled.
        type: list
        elements: str
        default: []
notes:
  - Rights for O(watchdog) are V(get), V(create), V(patch) and V(delete) on C(jobs.batch) and V(create) on C(serviceaccounts), C(roles)
    and C(rolebindings).
"""
