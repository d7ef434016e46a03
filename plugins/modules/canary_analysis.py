#!/usr/bin/python
# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_analysis
short_description: Compare a canary with stable by their requests
version_added: 1.0.0
author:
  - The meshops.canary authors (@meshops)
description:
  - Observes the requests of two versions of a service and returns V(pass), V(fail) or V(inconclusive), with reasons and
    the numbers behind them.
  - Needs no Prometheus. Without one it reads the callers' proxies about every second through the API server, so a
    canary that fails half of its requests is detected within a few seconds.
  - Frequent measurements cause no false alarms. Failed requests are judged by a sequential test, response times at doubling
    numbers of requests. RV(verdict=fail) is returned as soon as it is certain, V(pass) not before O(watch) seconds.
  - No evidence is no success. Too few requests, an unreachable Prometheus or an answer that is not a number are
    V(inconclusive).
  - Changes nothing.
options:
  stable:
    description:
      - Version to compare with, as the routes name it (a subset or a Service). It may be a baseline,
        that is stable's image in a Deployment as new and as large as the canary's.
    type: str
    required: true
  canary:
    description: Version to judge.
    type: str
    required: true
  evidence:
    description:
      - RV(evidence) of an earlier task with the same metrics. The sequential tests continue from there, and a canary that has
        all requests by now is compared with stable before.
    type: dict
    default: {}
  fail_on:
    description: Verdicts that fail the task. By default none does, and the playbook decides what to do.
    type: list
    elements: str
    choices: [fail, inconclusive]
    default: []
extends_documentation_fragment:
  - meshops.canary.connection
  - meshops.canary.metrics
  - meshops.canary.watching
  - meshops.canary.attributes
  - meshops.canary.attributes.reads
  - meshops.canary.service
  - meshops.canary.service.by_pods
  - meshops.canary.prometheus
notes:
  - With O(route_api=replicas) there are no proxies to count at. O(metrics) of kind V(value) with queries of your own judge the
    canary then, in which C($version) is the Deployment's name; Istio's metrics are there only if the pods have sidecars.
  - Failed requests are compared by a test martingale during the analysis and by Fisher's exact test at the end, response
    times by the Mann-Whitney test with an effect size. Half of O(metrics[].alpha) is for alarms, half for the end,
    also if the end repeats because a metric is undecided.
  - Envoy's counters count each attempt of a retry, and mirrored copies count like requests.
  - Response codes are compared too, by C(codes), one of the default O(metrics). A canary that answers 404, 401, 302 or 429 to
    everything fails no request, but does not pass.
  - Failed requests without a version turn V(pass) into V(inconclusive) if the canary would fail with them.
  - A canary that accepts requests and answers none is detected by C(stalled), one of the default O(metrics). Where Istio hides
    Envoy's counters of calls (its default) this takes a port-forward to each calling proxy at every other measurement (with
    Prometheus at every measurement, which are two seconds apart). Without the right to it RV(notes) say so.
  - Envoy sums up its histograms every five seconds, so response times are known that much later than counts.
seealso:
  - module: meshops.canary.canary_rollout
  - module: meshops.canary.canary_verify
  - module: meshops.canary.canary_weight
"""

EXAMPLES = r"""
- name: Analyze the canary for a minute, without Prometheus
  meshops.canary.canary_analysis:
    service: reviews
    namespace: bookinfo
    stable: v1
    canary: v2
    watch: 60
  register: judged

- name: Roll it back if it fails
  meshops.canary.canary_weight:
    service: reviews
    namespace: bookinfo
    weights: {v1: 100, v2: 0}
  when: judged.verdict == 'fail'

- name: Judge by limits, and by a custom query to Prometheus
  meshops.canary.canary_analysis:
    service: reviews
    namespace: bookinfo
    stable: v1
    canary: v2
    prometheus_url: http://prometheus.example.com:9090
    watch: 300
    interval: 15
    metrics:
      - name: errors
        kind: errors
        limit: 1
        critical: true
      - name: response time
        kind: latency
        limit: 400
        quantile: 0.99
        max_ratio: 1.5
      - name: queue
        kind: value
        query: max(queue_length{app="reviews", version="$version"})
        limit: 1000
    fail_on: [fail, inconclusive]

- name: Get a number of the canary from another provider
  ansible.builtin.uri:
    url: https://metrics.example.com/orders-per-minute?version=v2
    return_content: true
  register: orders
  delegate_to: localhost

- name: Judge by that number, by a page of the canary and by its requests
  meshops.canary.canary_analysis:
    service: reviews
    namespace: bookinfo
    stable: v1
    canary: v2
    metrics:
      - {name: errors, kind: errors, critical: true}
      - {name: orders, kind: value, value: "{{ orders.content | float }}", floor: 20}
      - {name: traffic, kind: rate, floor: 2}
      - name: page
        kind: http
        url: https://shop.example.com/reviews/0
        headers: {end-user: testuser}
        pattern: '"rating"'

- name: Analyze the canary for an hour at most, until a person approves or rejects it
  meshops.canary.canary_analysis:
    service: reviews
    namespace: bookinfo
    stable: v1
    canary: v2
    evidence: "{{ judged.evidence }}"
    approval: release-7
    deadline: 3600
  register: gate  # gate.verdict is fail, or gate.answer is approved, rejected or null

- name: Judge at a time in the past
  meshops.canary.canary_analysis:
    service: reviews
    namespace: bookinfo
    stable: v1
    canary: v2
    prometheus_url: http://prometheus.example.com:9090
    window: 600
    watch: 300
    at: "{{ ('2026-11-22T12:00:00+0000' | to_datetime('%Y-%m-%dT%H:%M:%S%z')).timestamp() }}"
"""

RETURN = r"""
msg:
  description: The verdict and why, in a sentence.
  returned: always
  type: str
  sample: "reviews v2: fail: errors: 11 of 21 canary requests failed, more than stable's 0 of 187; statistically significant (p = 1.8e-10)"
service: {description: "Name of the service.", returned: success, type: str, sample: reviews}
namespace: {description: "Namespace of the service.", returned: success, type: str, sample: bookinfo}
canary: {description: "The version that was judged.", returned: success, type: str, sample: v2}
stable: {description: "The version it was compared with.", returned: success, type: str, sample: v1}
verdict: {description: "V(pass), V(fail) or V(inconclusive).", returned: success, type: str, sample: fail}
passed: {description: "Whether the verdict is V(pass).", returned: success, type: bool}
answer:
  description: Answer of a person to O(approval), V(approved) or V(rejected). V(null) without an answer or without O(approval).
  returned: success
  type: str
  sample: approved
answer_error:
  description: Why the answer to O(approval) could not be read at the end. Empty if it could; then RV(answer) is all there is.
  returned: success
  type: str
reasons:
  description: Reasons of the verdict, one sentence for each metric that decided.
  returned: success
  type: list
  elements: str
score:
  description: Percent of the decided weight that passed, V(null) if nothing was decided.
  returned: success
  type: float
  sample: 50.0
metrics:
  description: Judgement of each metric.
  returned: success
  type: list
  elements: dict
  contains:
    metric: {description: "Its name.", type: str, sample: errors}
    verdict: {description: "V(pass), V(fail) or V(inconclusive).", type: str}
    reason: {description: "Why, with the numbers.", type: str}
    weight: {description: "Its share in the score.", type: float}
    critical: {description: "Whether its failure alone fails the verdict.", type: bool}
    strength: {description: "How significant a failure is; 1 is just significant.", type: float}
    numbers: {description: "The numbers in the reason.", type: dict}
numbers:
  description: Requests of both versions during the analysis, warm-up included.
  returned: success
  type: dict
  contains:
    canary:
      description: Of the canary, C(requests), C(errors), C(error_percent), and the response times C(p50), C(p95) and C(p99) in milliseconds.
      type: dict
      sample: {requests: 21, errors: 11, error_percent: 52.381, p50: 3.1, p95: 8.4, p99: 9.6}
    stable: {description: "The same of stable.", type: dict}
    share: {description: "The canary's percent of the requests of all versions.", type: float, sample: 10.096}
failed_requests:
  description: Requests the canary failed during the analysis, and those that have waited too long for an answer at its end (metrics of kind V(stalled)).
  returned: success
  type: int
  sample: 11
reaction_seconds:
  description:
    - Seconds from the last measurement before the first error to the verdict V(fail), an upper bound of the true time.
      V(null) without error or with another verdict.
  returned: success
  type: float
  sample: 2.13
measurements: {description: "Number of measurements.", returned: success, type: int, sample: 3}
seconds: {description: "Duration of the analysis.", returned: success, type: float, sample: 3.2}
started_at: {description: "Unix time of its start.", returned: success, type: float}
at: {description: "Unix time of the verdict.", returned: success, type: float}
timeline:
  description:
    - Requests and errors over time, at most 120 entries. Each has C(at) (Unix time) and what C(canary) and C(stable) had
      since the entry before.
  returned: success
  type: list
  elements: dict
source:
  description: Where the numbers come from, V(proxies) or V(prometheus).
  returned: success
  type: str
  sample: proxies
callers: {description: "Callers' proxies that were read.", returned: success, type: int, sample: 6}
evidence:
  description: State of the tests, for O(evidence) of the next task.
  returned: success
  type: dict
notes:
  description: What was not counted, and why.
  returned: success
  type: list
  elements: str
api_requests:
  description: Requests sent to the API server by method.
  returned: success
  type: dict
  sample: {get: 34, patch: 0, post: 0, delete: 0}
error_code:
  description: Kind of failure, V(analysis_fail), V(analysis_inconclusive), or that of an error such as V(metrics_error).
  returned: failure
  type: str
  sample: analysis_fail
"""

from ansible_collections.meshops.canary.plugins.module_utils.commands import analysis
from ansible_collections.meshops.canary.plugins.module_utils.task import entry


def main() -> None:
    """Run the command as a module."""
    entry.main(analysis)


if __name__ == "__main__":
    main()
