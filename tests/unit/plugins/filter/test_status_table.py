# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people see of canary_info: the table and the findings."""

from __future__ import annotations

import datetime
import re
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.filter import status_table as filters
from ansible_collections.meshops.canary.plugins.module_utils.objects.hosts import ServiceRef
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.preflight import inspection
from ansible_collections.meshops.canary.plugins.module_utils.routing import overview, plan
from support import reviews

SERVICE = ServiceRef("reviews", reviews.NAMESPACE)
COUNTED = {
    "source": "prometheus",
    "seconds": 300.0,
    "requests": 3000,
    "errors": 4,
    "by_version": {
        "v1": {"requests": 2683, "errors": 0, "share": 89.433},
        "v2": {"requests": 317, "errors": 4, "share": 10.567},
    },
}


def overview_of(lists: dict[str, t.Any], measured: dict[str, t.Any] | None, **more: t.Any) -> dict[str, t.Any]:
    snapshot = Snapshot(**lists)
    description = plan.describe(snapshot, SERVICE)
    return {
        **{key: description[key] for key in ("service", "namespace", "weights_differ", "cohorts", "mirrors")},
        "versions": overview.versions(snapshot, SERVICE, description, measured),
        "measured": measured,
        "proxies": {"checked": 6, "proxies": 6, "converged": True, "pending": []},
        "findings": [one.as_dict() for one in inspection.inspect(snapshot, SERVICE)],
        "notes": [],
        **more,
    }


def test_a_healthy_service() -> None:
    lines = filters.status_table([overview_of(reviews.healthy(), COUNTED)])
    assert [lines[0], *(re.sub(r" +[0-9]+d  -$| +AGE  IMAGE$", "", line) for line in lines[1:])] == [
        "reviews in bookinfo | 3000 requests in 5 min, 4 errors (prometheus) | 6 of 6 proxies have the routes",
        "VERSION  WEIGHT  COHORTS  READY  HPA            CPU  MEASURED  REQUESTS  ERRORS",
        "v1          90%  -          3/3  1 of 1-10  20%/50%    89.43%      2683       0",
        "v2          10%  -          1/1  1 of 1-10  20%/50%    10.57%       317       4",
    ]


def test_what_is_not_known_is_not_zero() -> None:
    lists = reviews.healthy()
    del lists["pods"], lists["deployments"], lists["hpas"]
    lines = filters.status_table([overview_of(lists, None, proxies=None)])
    assert lines[0] == "reviews in bookinfo | requests not measured | proxies not read"
    assert lines[2].split() == ["v1", "90%", "-", "?/?", "-", "-", "?", "?", "?", "-", "-"]


def test_no_requests_have_no_share() -> None:
    nothing = {**COUNTED, "requests": 0, "errors": 0, "seconds": None, "source": "proxies", "by_version": {}}
    lines = filters.status_table([overview_of(reviews.healthy(), nothing)])
    assert "0 requests since the proxies started, 0 errors (proxies)" in lines[0]
    assert "  SINCE START  REQUESTS" in lines[1], "older weights are in it too"
    assert lines[2].split()[-5:-2] == ["?", "0", "0"]


def test_proxies_behind_are_not_counted_as_holding() -> None:
    proxies = {"checked": 6, "proxies": 6, "converged": False, "pending": ["shop/cart: has v1 100"]}
    assert filters.status_table([overview_of(reviews.healthy(), None, proxies=proxies)])[0].endswith(
        "5 of 6 proxies have the routes"
    )


def test_requests_whose_version_is_not_known_come_last_and_are_not_said_to_be_of_all_pods() -> None:
    """Istio counts a request that was canceled before an answer with an unknown version."""
    stray = {**COUNTED, "by_version": {**COUNTED["by_version"], "": {"requests": 9, "errors": 0, "share": 0.3}}}
    overview = overview_of(reviews.healthy(), stray)
    assert overview["versions"][-1]["version"] == ""
    assert overview["versions"][-1]["ready"] is None, "no pods are its pods"
    (line,) = [one for one in filters.status_table([overview]) if one.startswith(("all pods", "? "))]
    assert line.split()[:2] == ["?", "0%"]
    assert " 9 " in line


def test_a_route_without_a_subset_is_of_all_pods() -> None:
    lists = reviews.healthy()
    lists["virtual_services"][0]["spec"]["http"] = [{"route": [{"destination": {"host": "reviews"}}]}]
    overview = overview_of(lists, None)
    assert (overview["versions"][0]["version"], overview["versions"][0]["weight"]) == ("", 100)
    assert any(line.startswith("all pods   ") for line in filters.status_table([overview]))


ROLLOUT = {
    "phase": "observing", "over": False, "stable": "v1", "canary": "v2", "step": 2, "steps": 4, "weight": 10.0,
    "since": "2026-11-25T21:07:12Z", "seconds_left": 566.0, "waits_for": "enough evidence for a verdict", "reason": "",
    "holder": "ada@ops1/4711", "lease_until": "2026-11-25T21:22:12Z", "drift": "", "next": [],
}  # fmt: skip


def rollout_lines(**fields: t.Any) -> list[str]:
    return filters.status_table([overview_of(reviews.healthy(), COUNTED, rollout={**ROLLOUT, **fields})])[4:]


def test_a_rollout_says_where_it_stands_and_who_holds_it() -> None:
    assert rollout_lines() == [
        "rollout v1 -> v2: observing, step 2 of 4 (10%), since 2026-11-25T21:07:12Z, 566 s left; "
        "locked by ada@ops1/4711 until 2026-11-25T21:22:12Z",
        "    waits for: enough evidence for a verdict",
    ]


def test_a_rollout_nobody_works_on_says_what_to_do_in_one_line() -> None:
    command = "to continue: ansible-playbook meshops.canary.rollout " + "-e very=long " * 12
    lines = rollout_lines(holder="", reason="why", drift="reviews: v1 90% -> 70%", next=[command])
    assert lines[0].endswith("; not locked")
    assert lines[2:] == ["    reason: why", "    drift:  reviews: v1 90% -> 70%", f"    next:   {command}"]


def test_a_rollout_that_was_not_promoted_says_why() -> None:
    begun = "2026-11-25T21:07:12Z"
    assert rollout_lines(over=True, phase="stopped", reason="a task failed", drift="v2 10% -> 30%", next=["go on"]) == [
        f"rollout v1 -> v2: stopped since {begun}", "    reason: a task failed",
        "    drift:  v2 10% -> 30%", "    next:   go on",
    ]  # fmt: skip
    promoted = rollout_lines(over=True, phase="promoted", reason="all steps passed")
    assert promoted == [f"rollout v1 -> v2: promoted since {begun}"]


def test_a_rollout_that_is_over_is_one_line() -> None:
    assert rollout_lines(over=True, phase="rolled_back") == ["rollout v1 -> v2: rolled back since 2026-11-25T21:07:12Z"]
    assert filters.status_table([overview_of(reviews.healthy(), COUNTED, rollout=None)])[4:] == []


def test_errors_and_warnings_stand_below_but_notes_do_not() -> None:
    lists = reviews.healthy()
    del lists["namespaces"]
    lists["services"] = [reviews.service(name="reviews")]
    lines = filters.status_table([overview_of(lists, None)])
    assert [line.split(": ")[:2] for line in lines if line.startswith(("error", "warning", "note"))] == [
        ["warning", "PORT_PROTOCOL_GUESSED"]
    ]


def test_several_services_stand_apart() -> None:
    service = overview_of(reviews.healthy(), COUNTED)
    lines = filters.status_table([service, service])
    assert lines.count("") == 1
    assert len(lines) == 9


def test_findings_say_what_was_seen_and_what_to_do() -> None:
    lists = reviews.healthy()
    lists["pods"] = [pod for pod in lists["pods"] if "v2" not in pod["metadata"]["name"]]
    lines = filters.finding_lines(overview_of(lists, None)["findings"])
    assert lines[0] == "ERROR SUBSET_NOT_READY: DestinationRule bookinfo/reviews"
    assert lines[1].startswith("    reason: Subset v2 (version=v2) would get 10% of requests and has no pod")
    assert lines[2].startswith("    fix:    Inspect the pods: kubectl -n bookinfo get pods -l version=v2")
    assert max(map(len, lines)) <= 118


@pytest.mark.parametrize("given", ["text", 5, {"services": []}, [{"a": 1}], ["x"]])
def test_other_things_are_refused_by_name(given: t.Any) -> None:
    for function in (filters.status_table, filters.finding_lines):
        with pytest.raises(AnsibleFilterError, match=function.__name__):
            function(given)


def test_ansible_finds_them() -> None:
    assert set(filters.FilterModule().filters()) == {"status_table", "finding_lines"}


BY_PODS = [
    {"deployment": "reviews", "ready": 3, "desired": 3, "share": 75.0},
    {"deployment": "reviews-canary", "ready": 1, "desired": None, "share": 25.0},
]


def test_where_only_the_pods_decide_deployments_are_shown() -> None:
    stripped = overview_of(
        {**reviews.healthy(), "virtual_services": (), "destination_rules": ()}, None, by_pods=BY_PODS
    )
    assert stripped["versions"] == []
    assert filters.status_table([stripped])[1:4] == [
        "DEPLOYMENT      CONNECTIONS  READY",
        "reviews                 75%    3/3",
        "reviews-canary          25%    1/?",
    ]


def test_where_routes_decide_versions_are_shown() -> None:
    lines = filters.status_table([overview_of(reviews.healthy(), None, by_pods=None)])
    assert lines[1].startswith("VERSION  WEIGHT")


def test_image_and_age_of_each_version_are_shown() -> None:
    one = overview_of(reviews.healthy(), COUNTED)
    now = datetime.datetime.now(datetime.timezone.utc)
    for version, seconds, age in ((0, 100, "100s"), (0, 7000, "116m"), (1, 90_000, "25h"), (1, 400_000, "4d")):
        since = (now - datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        one["versions"][version] |= {"since": since, "images": ["registry.example.com:5000/shop/reviews:1.16.1"]}
        cells = filters.status_table([one])[2 + version].split()
        assert cells[-2:] in ([age, "reviews:1.16.1"], [f"{int(age[:-1]) + 1}{age[-1]}", "reviews:1.16.1"])


def test_a_namespace_of_many_services_is_one_line_each() -> None:
    one = overview_of(reviews.healthy(), COUNTED, service="reviews")
    rollout = {"stable": "v1", "canary": "v2", "phase": "rolling_back", "over": False, "step": 2, "steps": 4}
    moving = {**one, "service": "ratings", "rollout": {**rollout, "drift": "v1 90% -> 50%"}, "findings": [
        {"code": "PORT_NOT_HTTP", "severity": "error"}, {"code": "A", "severity": "warning"}
    ]}  # fmt: skip
    pods = [{"deployment": "shop", "share": 75.0}, {"deployment": "shop-canary", "share": 25.0}]
    by_pods = {**one, "service": "shop", "versions": [], "by_pods": pods, "measured": None}
    lines = [re.split("  +", line) for line in filters.status_table([one, moving, by_pods], brief=True)]
    assert lines == [
        ["SERVICE", "SHARES", "REQUESTS", "ERRORS", "ROLLOUT", "FINDINGS"],
        ["reviews", "v1 90%, v2 10%", "3000", "4", "-", "-"],
        [
            *("ratings", "v1 90%, v2 10%", "3000", "4"),
            *("v1 -> v2: rolling back, step 2 of 4, external change", "PORT_NOT_HTTP, 1 warning"),
        ],
        ["shop", "shop 75%, shop-canary 25%", "?", "?", "-", "-"],
    ]
