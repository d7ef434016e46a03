# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that several modules share, and what no output may show."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible_collections.meshops.canary.plugins.module_utils.commands import routing
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError, InvalidInput
from ansible_collections.meshops.canary.plugins.module_utils.findings import CATALOGUE
from ansible_collections.meshops.canary.plugins.module_utils.task import argument_spec, entry
from ansible_collections.meshops.canary.plugins.module_utils.task.context import Context
from ansible_collections.meshops.canary.plugins.modules import canary_weight


@pytest.mark.parametrize(
    ("versions", "labels"),
    [
        (["v1", "v2"], {"v1": {"version": "v1"}, "v2": {"version": "v2"}}),
        ({"v1": None, "v2": {}}, {"v1": {"version": "v1"}, "v2": {"version": "v2"}}),
        ({"v1": {"track": "stable", "n": 1}}, {"v1": {"track": "stable", "n": "1"}}),
        (None, {}),
    ],
)
def test_versions_and_their_labels(versions: t.Any, labels: dict[str, dict[str, str]]) -> None:
    assert routing.labels_of(versions, "version") == labels


@pytest.mark.parametrize("versions", ["v1", 1, ["v1", 2], [""], {"v1": "version"}])
def test_versions_of_another_shape_are_refused(versions: t.Any) -> None:
    with pytest.raises(InvalidInput, match="versions must be a list of names"):
        routing.labels_of(versions, "version")


@pytest.mark.parametrize(
    ("text", "condition"),
    [("/static/*", {"prefix": "/static/"}), ("/login", {"exact": "/login"}), ("*", {"prefix": ""})],
)
def test_paths_of_an_ingress(text: str, condition: dict[str, str]) -> None:
    assert routing.path_of(text) == condition


def test_secrets_are_found_wherever_they_come_from() -> None:
    users = [
        {"name": "u", "user": {"token": "t1", "client-key-data": "t2", "username": "shown"}},
        {"name": "v", "user": {"auth-provider": {"config": {"id-token": "t3", "refresh-token": "t4", "idp": "shown"}}}},
    ]
    params = {"kubeconfig": {"users": users, "clusters": [{"token": "shown"}]}, "password": None}
    assert argument_spec.secrets(params, {"K8S_AUTH_PASSWORD": "t5"}) == {"t1", "t2", "t3", "t4", "t5"}
    assert argument_spec.secrets({"kubeconfig": "/path"}, {}) == set()
    headers = {"Authorization": "Basic dTpw", "X-Scope-OrgID": "shop"}
    checks = [{"name": "page", "headers": {"X-Api-Key": "t6", "accept": "*/*"}}, {"name": "other"}]
    requested = {"prometheus_headers": headers, "metrics": checks}
    assert argument_spec.secrets(requested, {}) == {"Basic dTpw", "dTpw", "t6"}


class _Command:
    def __init__(self, outcome: dict[str, t.Any] | Exception) -> None:
        self.outcome = outcome

    def run(self, *_given: t.Any, **_named: t.Any) -> dict[str, t.Any]:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def execute(outcome: dict[str, t.Any] | Exception) -> tuple[dict[str, t.Any], list[str]]:
    params = {"service": "reviews", "namespace": "shop"}
    command = t.cast("t.Any", _Command(outcome))
    return entry.execute(command, params, Context(False, lambda _said: None, {}))


def test_an_error_becomes_a_failed_result_with_its_details() -> None:
    result, warnings = execute(ApiError("Reading failed.", 403, reason="Forbidden", warnings=["w", "w"]))
    assert result == {
        "failed": True,
        "changed": False,
        "msg": "Reading failed.",
        "error_code": "api_error",
        "status": 403,
        "reason": "Forbidden",
    }
    assert warnings == ["w"]


def test_what_an_error_says_of_changes_is_kept() -> None:
    result, _warnings = execute(ApiError("Second write failed.", 500, changed=True))
    assert result["changed"] is True


def test_a_defect_names_itself_and_what_was_done() -> None:
    result, _warnings = execute(KeyError("spec"))
    assert result["error_code"] == "defect"
    assert "Unexpected KeyError for service reviews in namespace shop" in result["msg"]
    assert "Traceback" in result["exception"]
    assert "Traceback" not in result["msg"]


def test_a_result_is_passed_on_without_its_warnings() -> None:
    assert execute({"changed": True, "warnings": ["one", "two", "one"]}) == ({"changed": True}, ["one", "two"])


def test_examples_force_findings_that_exist() -> None:
    blocks = [task["block"] for task in yaml.safe_load(canary_weight.EXAMPLES) if "block" in task]
    tasks = [task["meshops.canary.canary_weight"] for block in blocks for task in block]
    forced = [code for task in tasks for code in task.get("force", ())]
    assert forced
    assert set(forced) <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("given", "hidden"),
    [
        ({"metrics": [{"url": "https://ada:s%20cret@shop/health"}]}, {"s%20cret", "s cret", "ada:s%20cret"}),
        ({"prometheus_url": "http://ada:pass@prometheus:9090"}, {"pass", "ada:pass"}),
        ({"proxy": "http://ada:pass@proxy:3128"}, {"pass", "ada:pass"}),
        ({"metrics": [{"headers": {"X-Auth": "open sesame"}}]}, {"open sesame", "sesame"}),
        ({"metrics": [{"url": "https://ada@shop/health"}], "prometheus_url": "http://[::1", "proxy": None}, set()),
    ],
    ids=["metric", "Prometheus", "proxy", "header", "none"],
)
def test_credentials_in_urls_and_headers_are_hidden(given: dict[str, t.Any], hidden: set[str]) -> None:
    assert argument_spec.secrets(given, {}) == hidden
