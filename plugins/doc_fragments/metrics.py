# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is PRIVATE to the collection; it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    # What a canary is judged by, and where its requests are counted
    DOCUMENTATION = r"""
options:
  source:
    description:
      - V(proxies) counts at the callers' proxies through the API server (right C(get) on C(pods/proxy)), or, where none
        can be read, at the proxies of the versions' own pods.
      - V(prometheus) takes Istio's metrics C(istio_requests_total) and C(istio_request_duration_milliseconds), as
        callers' proxies report them. For metrics of kind V(stalled) it also reads the requests in flight from the callers'
        proxies, if the user has the right to and nothing of the past is judged. Requires O(prometheus_url).
      - V(auto) is V(prometheus) if O(prometheus_url) is given, else V(proxies).
    type: str
    choices: [auto, proxies, prometheus]
    default: auto
  proxy_sample:
    description: Maximum number of callers' proxies to read, those in the namespace of the service first, and always all gateways. V(0) reads all.
    type: int
    default: 50
  warm_up:
    description:
      - Seconds at the start whose requests are not judged, for a version that starts slowly. Requests that fail then
        still count as failed requests in the result.
    type: float
    default: 0.0
  interval:
    description:
      - Seconds between two measurements. Default is 1 with proxies and 5 with Prometheus, where less than the scrape
        interval has no effect. With Prometheus it is 2 if proxies are read for requests in flight (V(stalled)); with longer
        intervals more requests must stall until the failure is certain.
    type: float
  metrics:
    description:
      - Metrics to judge. Default is C(errors), critical, C(latency) from 50 requests on, C(stalled), critical, and C(codes),
        critical, all compared with stable.
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
            the response times of all requests, V(rate) the answered requests per second over the whole analysis.
          - V(stalled) fails when certainly more of the canary's requests than of stable's wait for an answer for longer than
            O(metrics[].limit), or are canceled by their callers. It only raises alarms, and has no effect on V(pass).
            Only proxies know the requests in flight, and only of the present; Prometheus knows those canceled. Without a
            metric of this kind, requests canceled more often on the canary turn V(pass) into V(inconclusive).
          - V(codes) fails when the canary answers 1xx, 3xx, 4xx, a single code of 4xx or a gRPC status that is the caller's
            fault more often than stable, beyond chance. More answers of 2xx, so fewer redirects and refusals, are
            V(inconclusive). Errors are left out, and 304 counts as 2xx. Without a metric of this kind, different codes
            turn V(pass) into V(inconclusive).
          - V(sizes) fails when more of the canary's answers than of stable's are of some size, beyond chance, so also when
            they are empty or have grown. Sizes are the buckets of C(istio_response_bytes); all answers count, errors too.
            It is not judged unless named. Where the proxies do not count sizes it is V(inconclusive).
          - V(value) judges one number, from Prometheus by O(metrics[].query) or given as O(metrics[].value).
          - V(http) requests O(metrics[].url) at each measurement, from where the task runs.
        type: str
        choices: [errors, latency, stalled, codes, sizes, rate, value, http]
        required: true
      query:
        description:
          - PromQL with one number as answer, for O(metrics[].kind=value).
          - In it C($version) stands for the value of the version label, C($service), C($namespace) and C($host) for
            those of the service. With O(metrics[].max_ratio) the query runs for the canary and for stable.
        type: str
      value:
        description:
          - The canary's number, for O(metrics[].kind=value) without O(metrics[].query). A task before gets it from
            another provider of metrics, a command or a database.
        type: float
      stable_value:
        description: Stable's number, for O(metrics[].max_ratio) with O(metrics[].value).
        type: float
      url:
        description:
          - URL to request by C(GET), for O(metrics[].kind=http). A check has no bounds; it passes if the answer has
            the O(metrics[].status) and matches the O(metrics[].pattern). No answer is a failure.
        type: str
      status:
        description: HTTP status that an answer may have. Default is all from 200 to 399.
        type: list
        elements: int
      pattern:
        description: Regular expression, in the syntax of RE2, to find in the answer (status, headers and body).
        type: str
      headers:
        description: Headers to send with O(metrics[].url), such as those that route to the canary.
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
          - For V(stalled) the seconds that a request may wait for its answer, 2 by default and 0.5 at least.
        type: float
      floor:
        description: The least that is allowed, for V(rate) and V(value).
        type: float
      max_ratio:
        description:
          - The most that is allowed as a multiple of what stable has. For V(errors) the rate, for V(latency) the time at
            O(metrics[].quantile), for V(rate) and V(value) the number. For V(codes) and V(sizes) the odds
            of each code or size.
        type: float
      ignore:
        description:
          - For V(codes), codes and classes that may differ, C(1xx), C(2xx), C(3xx), C(4xx), a code of 4xx such as C(404),
            C(grpc) or a gRPC status such as C(grpc 5). A class stands for its codes too.
        type: list
        elements: str
      verdict:
        description: For V(codes) and V(sizes), the verdict where they differ beyond chance. Default is V(fail).
        type: str
        choices: [fail, inconclusive]
      compare:
        description:
          - Whether to compare with stable, for V(errors) and V(latency). Without it O(metrics[].limit) is needed.
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
        description: Probability of a false alarm, over all measurements of one analysis together.
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
          - For V(value) and V(http), failed measurements in a row before the metric fails. A measurement without a number
            neither adds to them nor clears them.
        type: int
        default: 3
      missing:
        description:
          - For V(value), measurements in a row without a number (no value, not a number, several series) for which the last
            number is kept. After more the metric is V(inconclusive) until there is a number again.
        type: int
        default: 0
      unanswered:
        description: The same for measurements at which Prometheus did not answer O(metrics[].query).
        type: int
        default: 0
      weight:
        description:
          - Share of the metric in the score. The verdict is V(fail) below a score of 75 and V(pass) from 95 on, both in
            percent of the weight that was decided.
        type: float
        default: 1.0
      critical:
        description: Whether the verdict is V(fail) if this metric fails, and not V(pass) while it is undecided.
        type: bool
        default: false
"""
