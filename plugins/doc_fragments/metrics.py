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
      - What to judge. Default is C(errors), critical, C(latency) from 50 requests on, and C(hanging), critical, all
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
          - V(errors) judges answers of 500 and above and gRPC statuses that are the server's fault (2, 4, 12, 13, 14, 15), V(latency)
            the response times of all requests, V(rate) the requests answered in a second over the whole watch.
          - V(hanging) fails when surely more of the canary's requests than of stable's wait for an answer for longer than
            O(metrics[].limit), or are given up by their callers. It is an alarm only, and neither adds to V(pass) nor holds it.
            Only proxies know the requests under way, and only of the present; Prometheus knows those given up. Where no
            metric is of this kind, callers that give up on the canary turn V(pass) into V(inconclusive).
          - V(value) judges one number that O(metrics[].query) asks Prometheus for, or that the task hands in as
            O(metrics[].value).
          - V(http) asks O(metrics[].url) at each look, from where the task runs.
        type: str
        choices: [errors, latency, hanging, rate, value, http]
        required: true
      query:
        description:
          - PromQL with one number as answer, for O(metrics[].kind=value).
          - In it C($version) stands for the value of the version label, C($service), C($namespace) and C($host) for
            those of the service. With O(metrics[].max_ratio) it is asked for the canary and for stable.
        type: str
      value:
        description:
          - The canary's number, for O(metrics[].kind=value) without O(metrics[].query). Whatever knows it, another provider
            of metrics, a command, a database, is asked by a task of yours before.
        type: float
      stable_value:
        description: Stable's number, for O(metrics[].max_ratio) beside O(metrics[].value).
        type: float
      url:
        description:
          - What to ask by C(GET), for O(metrics[].kind=http). A check has no bounds; it is good if the answer has
            the O(metrics[].status) and holds the O(metrics[].pattern). No answer is a failure.
        type: str
      status:
        description: HTTP status that an answer may have. Default is all from 200 to 399.
        type: list
        elements: int
      pattern:
        description: Regular expression that is to be found in the answer, that is in its status, headers and body.
        type: str
      headers:
        description: Headers to send with O(metrics[].url), such as those that lead to the canary.
        type: dict
        default: {}
      validate_certs:
        description: Whether to verify the certificate of O(metrics[].url).
        type: bool
        default: true
      timeout:
        description: Seconds O(metrics[].url) has for its answer.
        type: float
        default: 5.0
      limit:
        description:
          - The most that is allowed. For V(errors) in percent of requests, for V(latency) in milliseconds at
            O(metrics[].quantile), for V(rate) in requests per second, for V(value) in its own unit.
          - For V(hanging) the seconds that a request may wait for its answer, 2 by default and 0.5 at least.
        type: float
      floor:
        description: The least that is allowed, for V(rate) and V(value).
        type: float
      max_ratio:
        description:
          - The most that is allowed as a multiple of what stable has. For V(errors) the rate, for V(latency) the time at
            O(metrics[].quantile), for V(rate) and V(value) the number.
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
          - For V(latency), milliseconds by which the canary's middle request may take longer than stable's in any case.
            With many requests the smallest difference is certain. A version that does more and may take longer needs more.
          - Default is 10 or a quarter of stable's time, whichever is more; with O(metrics[].max_ratio) as much as that
            allows instead of a quarter. V(0) tolerates nothing.
        type: float
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
        description:
          - For V(value) and V(http), looks in a row that failed before the metric does. A look without a number neither
            adds to them nor clears them.
        type: int
        default: 3
      missing:
        description:
          - For V(value), looks in a row without a number (no value, not a number, several series) for which the last one
            stands. After more the metric is V(inconclusive) until there is one again.
        type: int
        default: 0
      unanswered:
        description: The same for looks at which Prometheus did not answer O(metrics[].query).
        type: int
        default: 0
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
