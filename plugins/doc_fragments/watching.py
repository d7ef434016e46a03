# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    # How long a canary is watched, and what ends it
    DOCUMENTATION = r"""
options:
  watch:
    description:
      - Seconds to watch at least before the verdict can be V(pass). RV(verdict=fail) may come earlier.
    type: float
    default: 30.0
  deadline:
    description:
      - Seconds after which the task returns with what it has, which may be V(inconclusive). Between O(watch) and
        O(deadline) it returns as soon as there is a verdict.
      - Default is O(warm_up) and ten times O(watch). With less than O(warm_up) and O(watch) together the verdict can be
        V(fail) but not V(pass).
    type: float
  warm_up:
    description:
      - Seconds at the beginning whose requests are not judged, for a version that starts slowly. Requests that fail in
        them are still told in RV(harmed).
    type: float
    default: 0.0
  interval:
    description:
      - Seconds between two looks. Default is 1 with proxies and 5 with Prometheus; shorter than its scrape interval
        makes no sense there. With Prometheus it is 2 where proxies are asked for the requests under way (V(hanging)); with rarer looks
        more requests must hang until it is certain.
    type: float
  window:
    description:
      - Seconds of the past to judge too. With them a task can judge at once instead of waiting. Needs O(prometheus_url).
    type: float
    default: 0.0
  at:
    description:
      - Unix time at which O(window) ends. The task then judges only the past and waits for nothing, which tells what it
        would have decided on an earlier day. O(window) must hold O(warm_up) and O(watch).
    type: float
  approval:
    description:
      - Ticket of a gate at which a person is asked, as C(run.ticket) of M(meshops.canary.canary_rollout) tells it. The task then watches until an
        annotation of the Service names it, C(canary.meshops.io/approve) or C(canary.meshops.io/reject), and returns what was said as RV(answer).
      - RV(verdict) is V(fail), before any answer, where the canary fails beyond doubt, else V(inconclusive). The tests that O(watch)
        ends with are not made, for nobody planned how many requests there are when a person answers. Without an answer it returns at O(deadline).
      - The Service is read every two seconds (right C(get) on C(services)); an API server that does not answer is asked again.
    type: str
"""
