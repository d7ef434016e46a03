# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module and action give the same result for every case: one playbook, run both ways in two equal namespaces."""

from __future__ import annotations

import json
import re
import secrets
import typing as t

import pytest
from support.direct import destination_rule, service, virtual_service

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Kube
    from support.lab import Lab
    from support.play import Result

QUICK = {"preflight": False, "wait": False}
NOBODY = {"url": "http://127.0.0.1:9/", "pattern": "(v[0-9])", "requests": 5}
PODS = {"service": "details", "deployment": "details", "canary": "details-canary", "image": "none:2", "wait": False}
RATINGS = {"service": "ratings", **QUICK}
HALF = {"ratings-v1": 50, "ratings-v2": 50}
# (name, module, options, task keywords), in this order on one state. Each module once, and whatever a module and an
# action do separately: arguments, environment, secrets, warnings, check mode, diff. The command is the same code.
CASES: list[tuple[str, str, dict[str, t.Any], dict[str, t.Any]]] = [
    ("check mode", "canary_weight", {"weights": {"v1": 90, "v2": 10}, **QUICK}, {"check_mode": True, "diff": True}),
    ("changed", "canary_weight", {"weights": {"v1": 90, "v2": 10}, **QUICK, "return_object": True}, {}),
    ("weights as text", "canary_weight", {"weights": "v1=80 v2=20", **QUICK}, {}),
    ("waited for", "canary_weight", {"weights": {"v1": 70, "v2": 30}, "preflight": False}, {}),
    ("refused by preflight", "canary_weight", {"weights": {"v1": 50, "v2": 50}}, {}),
    ("forced", "canary_weight", {"weights": {"v1": 50, "v2": 50}, "force": ["SUBSET_NOT_READY"], "wait": False}, {}),
    ("unknown subset", "canary_weight", {"weights": {"v1": 90, "v9": 10}, **QUICK}, {}),
    ("unknown option", "canary_weight", {"weight": {"v1": 100}, "state": "absent"}, {}),
    ("missing option", "canary_weight", {}, {}),
    ("wrong type", "canary_weight", {"weights": [1], **QUICK}, {}),
    ("wrong choice", "canary_weight", {"state": "gone"}, {}),
    ("mutually exclusive options", "canary_header_route", {"match": [], "path": "/x", "weights": {}}, {}),
    ("an alias", "canary_weight", {"weights": {"v1": 50, "v2": 50}, "virtual_service": ["reviews"], **QUICK}, {}),
    ("a cohort", "canary_header_route", {"headers": {"end-user": "testuser"}, "weights": {"v2": 100}, **QUICK}, {}),
    ("a mirror", "canary_mirror", {"version": "v3", "percent": 5, **QUICK}, {}),
    ("stickiness", "canary_sticky", {"max_age": 60, **QUICK}, {}),
    ("routing", "canary_routing", {"versions": ["v1", "v4"], "stable": "v1", **QUICK}, {}),
    ("no rollout", "canary_rollout", {}, {}),
    ("an analysis", "canary_analysis", {"stable": "v1", "canary": "v1"}, {}),
    ("environment", "canary_weight", {"state": "absent"}, {"environment": {"K8S_AUTH_KUBECONFIG": "/nowhere/env"}}),
    ("a secret", "canary_weight", {"state": "absent", "host": "https://127.0.0.1:9", "api_key": "s3cr3t-t0ken"}, {}),
    (
        "a secret in a kubeconfig",
        "canary_weight",
        {"state": "absent", "kubeconfig": {"users": [{"name": "u", "user": {"token": "s3cr3t-t0ken"}}]}},
        {},
    ),
    ("information", "canary_info", {"measure": "none", "proxies": False}, {}),
    ("a verification", "canary_verify", {"probes": NOBODY, "fail_on": []}, {}),
    ("pods", "canary_replicas", {**PODS, "share": 25}, {}),
    ("HTTPRoute", "canary_weight", {**RATINGS, "weights": HALF, "return_object": True}, {}),
    ("capacity", "canary_capacity", {"state": "released"}, {}),
    ("no log", "canary_weight", {"weights": {"v1": 50, "v2": 50}, **QUICK}, {"no_log": True}),
    ("restored", "canary_weight", {"state": "absent", **QUICK}, {}),
]


def pods_that_fit_no_node() -> Result:
    """Return the Deployment `details`."""
    labels = {"app": "details", "track": "stable"}
    pod = {"nodeSelector": {"meshops.io/none": "such"}, "containers": [{"name": "details", "image": "none:1"}]}
    spec = {
        "replicas": 3,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "details"}, "spec": spec}


def http_route() -> Result:
    """Return the HTTPRoute of `ratings`, all requests on its first version."""
    parent = {"group": "", "kind": "Service", "name": "ratings", "port": 9080}
    backends = [{"name": name, "port": 9080, "weight": weight} for name, weight in zip(HALF, (100, 0), strict=True)]
    spec = {"parentRefs": [parent], "rules": [{"backendRefs": backends}]}
    version = "gateway.networking.k8s.io/v1"
    return {"apiVersion": version, "kind": "HTTPRoute", "metadata": {"name": "ratings"}, "spec": spec}


@pytest.fixture(scope="module")
def namespaces(kube: Kube) -> Iterator[tuple[str, str]]:
    """Two namespaces of the same name's length and content, one for each way."""
    mark = secrets.token_hex(3)
    names = (f"parity-action-{mark}", f"parity-module-{mark}")
    for name in names:
        kube.create_namespace(name, labels={"istio-injection": "enabled"})
        kube.apply(service(), destination_rule(), virtual_service(), namespace=name)
        kube.apply(*map(service, ("details", "ratings", *HALF)), pods_that_fit_no_node(), http_route(), namespace=name)
    yield names
    for name in names:
        kube.delete_namespace(name)


@pytest.fixture(scope="module")
def results(lab: Lab, namespaces: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Result]]:
    """What each case returned, the action's results and the module's."""
    from support.play import Player

    return [
        _run(Player(tmp_path_factory.mktemp(name), lab.kubeconfig), name, in_process=in_process)
        for name, in_process in zip(namespaces, (True, False), strict=True)
    ]


def _run(player: t.Any, namespace: str, *, in_process: bool) -> dict[str, Result]:
    tasks = [
        {
            "name": name,
            f"meshops.canary.{module}": {"service": "reviews", "namespace": namespace, **options},
            "ignore_errors": True,
            **keywords,
        }
        for name, module, options, keywords in CASES
    ]
    played = player(tasks, "-vvv", environment={"CANARY_IN_PROCESS": str(in_process).lower()}, seconds=900)
    return {name: _comparable(played.task(name), namespace) for name, *_rest in CASES}


def _comparable(result: Result, namespace: str) -> Result:
    """Return the result without what differs between any two runs: names, versions, times, the interpreter."""
    text = json.dumps(result, sort_keys=True).replace(namespace, "NAMESPACE")
    text = re.sub(r"\d+ proxies have it after \d+\.\d+ s", "N proxies have it after N s", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
    cleaned: Result = json.loads(text)
    cleaned.pop("ansible_facts", None)
    if cleaned.get("convergence"):  # others' pods come and go, and polls are not counted
        for key in ("seconds", "proxies", "checked", "note"):
            cleaned["convergence"].pop(key, None)
        cleaned["api_requests"].pop("get")
    if cleaned.get("source") == "probes":
        cleaned.pop("seconds")
    for part in cleaned.get("patch") or ():
        for operation in part["patch"]:
            if operation["path"] in ("/metadata/resourceVersion", "/metadata/uid"):
                operation["value"] = "VERSION"
    for stored in cleaned.get("resources") or ():
        for key in ("resourceVersion", "uid"):
            stored["metadata"].pop(key)
    return cleaned


@pytest.mark.parametrize("name", [case[0] for case in CASES])
def test_module_and_action_return_the_same_result(results: list[dict[str, Result]], name: str) -> None:
    action, module = results[0][name], results[1][name]
    assert set(action) == set(module)
    assert action == module


@pytest.mark.parametrize("name", ["a secret", "a secret in a kubeconfig"])
def test_secrets_are_not_shown(results: list[dict[str, Result]], name: str) -> None:
    for way in results:
        assert way[name].get("failed")
        assert "s3cr3t-t0ken" not in json.dumps(way[name])


def test_the_cases_do_what_their_names_say(results: list[dict[str, Result]]) -> None:
    action = results[0]
    assert action["changed"]["changed"]
    assert action["environment"]["msg"].startswith("kubeconfig: /nowhere/env")
    assert action["refused by preflight"]["error_code"] == "refused"
    failed = {name for name, result in action.items() if result.get("failed")}
    assert failed == {
        "refused by preflight",
        "unknown subset",
        "unknown option",
        "missing option",
        "wrong type",
        "wrong choice",
        "mutually exclusive options",
        "environment",
        "a secret",
        "a secret in a kubeconfig",
        "an analysis",
    }
