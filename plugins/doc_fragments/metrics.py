# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    # What a canary is judged by
    DOCUMENTATION = r"""
options:
  metrics:
    description:
      - What to judge. Default is C(errors), critical, and C(latency) with a O(metrics[].slack) of 100 milliseconds, both
        compared with stable.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name for reasons and results.
        type: str
        required: true
      kind:
        description:
          - V(errors) judges answers of 500 and above, V(latency) the response times of all requests.
          - V(value) judges one number that O(metrics[].query) asks Prometheus for.
        type: str
        choices: [errors, latency, value]
        required: true
      query:
        description:
          - PromQL with one number as answer, for O(metrics[].kind=value).
          - In it C($version) stands for the value of the version label, C($service), C($namespace) and C($host) for
            those of the service. With O(metrics[].max_ratio) it is asked for the canary and for stable.
        type: str
      limit:
        description:
          - The most that is allowed. For V(errors) in percent of requests, for V(latency) in milliseconds at
            O(metrics[].quantile), for V(value) in its own unit.
        type: float
      floor:
        description: The least that is allowed, for O(metrics[].kind=value).
        type: float
      max_ratio:
        description:
          - The most that is allowed as a multiple of what stable has. For V(errors) the rate, for V(latency) the time at
            O(metrics[].quantile).
        type: float
      compare:
        description:
          - Whether to compare with stable at all, for V(errors) and V(latency). Without it O(metrics[].limit) is needed.
        type: bool
        default: true
      quantile:
        description: Part of the requests that must keep O(metrics[].limit) and O(metrics[].max_ratio), 0 to 1.
        type: float
        default: 0.95
      effect:
        description:
          - For V(latency), how likely a request of the canary must be slower than one of stable before the difference
            matters. 0.5 is no difference, 0.56 a small one, 0.64 a medium, 0.71 a large one.
        type: float
        default: 0.6
      slack:
        description:
          - For V(latency), milliseconds by which the canary may be slower than stable at O(metrics[].quantile) in any
            case. A version that does more takes longer, and with many requests the smallest difference is certain.
        type: float
        default: 0.0
      alpha:
        description: Probability of a false alarm, over all looks of the task together.
        type: float
        default: 0.01
      min_requests:
        description:
          - Requests each version must have answered for a verdict on this metric at the end. An alarm about failed
            requests needs none, its test takes care of small numbers itself.
        type: int
        default: 100
      consecutive:
        description: For V(value), looks in a row beyond its bounds before it is a failure.
        type: int
        default: 3
      weight:
        description:
          - Share of the metric in RV(score). The verdict is V(fail) below a score of 75 and V(pass) from 95 on, both in
            percent of the weight that was decided.
        type: float
        default: 1.0
      critical:
        description: Whether the failure of this metric alone fails the whole, and its indecision holds it.
        type: bool
        default: false
"""
