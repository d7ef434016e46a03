# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role autoscale accepts a CPU request wherever it comes from: the container, its limit, or a LimitRange."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from support.collection import ROOT

if t.TYPE_CHECKING:
    from support.play import Player

VARIABLES = str(ROOT / "roles" / "autoscale" / "vars" / "main.yml")
CASES: list[tuple[dict[str, t.Any], list[dict[str, t.Any]], list[str]]] = [
    ({}, [], ["shop-v1"]),
    ({"requests": {"cpu": "10m"}}, [], []),
    ({"limits": {"cpu": "10m"}}, [], []),
    ({"requests": {"memory": "1Mi"}}, [], ["shop-v1"]),
    ({}, [{"type": "Container", "defaultRequest": {"cpu": "50m"}}], []),
    ({}, [{"type": "Container", "default": {"cpu": "1"}}], []),
    ({}, [{"type": "Container", "max": {"cpu": "1"}}], ["shop-v1"]),
    ({}, [{"type": "Pod", "max": {"cpu": "1"}}, {"type": "Container", "default": {"memory": "1Mi"}}], ["shop-v1"]),
]


def test_where_a_cpu_request_may_come_from(play_offline: Player) -> None:
    tasks = [
        {
            "ansible.builtin.debug": {"msg": "{{ __autoscale_without_request }}"},
            "vars": {
                "autoscale_container": "app",
                "__autoscale_names": ["shop-v1"],
                "__autoscale_deployments": {"resources": [deployment(resources)]},
                "__autoscale_limit_ranges": {"resources": [{"spec": {"limits": limits}}] if limits else []},
            },
        }
        for resources, limits, _missing in CASES
    ]
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": [VARIABLES], "tasks": tasks}
    played = play_offline([play])
    assert [result["msg"] for _task, _host, result in played.tasks] == [missing for *_given, missing in CASES]


UNREAD = {
    "failed": True,
    "msg": "Failed to retrieve requested object: b'...'\nReason: Forbidden\nHTTP response headers: HTTPHeaderDict({})",
}
ROLE = ROOT / "roles" / "autoscale" / "tasks" / "preflight.yml"


@pytest.mark.parametrize(
    ("read", "known"),
    [({"resources": []}, True), (UNREAD, False), ({"failed": True, "msg": "Connection refused"}, False)],
    ids=["no LimitRange", "forbidden", "no answer"],
)
def test_a_limit_range_that_was_not_read_is_said_to_be_unread(
    play_offline: Player, read: dict[str, t.Any], known: bool
) -> None:
    """The role's own last task, with what the tasks before it have registered."""
    last = yaml.safe_load(ROLE.read_text())[-1]
    registered = {
        "autoscale_service": "shop",
        "autoscale_namespace": "market",
        "autoscale_versions": ["v1"],
        "autoscale_container": "app",
        "autoscale_check_metrics": True,
        "__autoscale_names": ["shop-v1"],
        "__autoscale_deployments": {"resources": [deployment({})]},
        "__autoscale_limit_ranges": read,
    }
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": [VARIABLES], "vars": registered, "tasks": [last]}
    message = str(play_offline([play], fails=True).last["msg"])
    assert "The container app has no CPU request in shop-v1" in message
    assert ("its LimitRanges were not read" in message) is not known
    assert ("(Reason: Forbidden)" in message) is (read is UNREAD)
    assert ("(Connection refused)" in message) is (not known and read is not UNREAD)
    assert ("Grant the right to list limitranges" in message) is not known


def deployment(resources: dict[str, t.Any]) -> dict[str, t.Any]:
    container = {"name": "app", "resources": resources}
    return {"metadata": {"name": "shop-v1"}, "spec": {"template": {"spec": {"containers": [container]}}}}
