# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    # How long a canary is observed, and what ends it
    DOCUMENTATION = r"""
options:
  watch:
    description:
      - Minimum seconds to observe before the verdict can be V(pass). RV(verdict=fail) may come earlier.
    type: float
    default: 30.0
  deadline:
    description:
      - Seconds after which the task returns with what it has, which may be V(inconclusive). Between O(watch) and
        O(deadline) it returns as soon as there is a verdict.
      - Default is O(warm_up) and ten times O(watch). With less than O(warm_up) and O(watch) together the verdict can be
        V(fail) but not V(pass).
    type: float
  window:
    description:
      - Seconds of the past to judge too, so that a task can judge at once instead of waiting. Needs O(prometheus_url).
    type: float
    default: 0.0
  at:
    description:
      - Unix time at which O(window) ends. The task then judges only the past, without waiting, as it would have
        at that time. O(window) must hold O(warm_up) and O(watch).
    type: float
  approval:
    description:
      - Ticket of a manual gate, C(run.ticket) of M(meshops.canary.canary_rollout). The task then observes until an
        annotation of the Service names it, C(canary.meshops.io/approve) or C(canary.meshops.io/reject), and returns the answer as RV(answer).
      - RV(verdict) is V(fail), before any answer, if the canary fails for certain, else V(inconclusive). The tests at the end of
        O(watch) are not made, for the time of an answer is not planned. Without an answer the task returns at O(deadline).
      - The Service is read every two seconds (right C(get) on C(services)); it is read again if the API server does not answer.
    type: str
"""
