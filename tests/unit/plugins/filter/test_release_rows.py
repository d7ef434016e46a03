# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters of the role release: a row for each cluster and service, and durations."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.meshops.canary.plugins.filter.release_rows import release_rows, release_seconds

RATINGS = {"service": "ratings", "namespace": "shop", "stable": "v1", "canary": "v2", "step": 2, "rollout": "4711"}
BACK = {"cluster": "berlin", "services": [{**RATINGS, "result": "rolled_back", "msg": "v1 100%"}]}
SHIFTED = {"cluster": "berlin", "services": [{**RATINGS, "result": "shifted", "msg": ""}]}
GONE = {"cluster": "oslo", "failed": True, "msg": "no | answer"}
HOSTS: list[dict[str, t.Any]] = [
    {
        "inventory_hostname": "b",
        "__release_state": SHIFTED,
        "__release_back": BACK,
        "__release_finished": {"skipped": 1},
    },
    {"inventory_hostname": "o", "__release_checked": GONE, "__release_back": {"skipped": True}},
    {"inventory_hostname": "paris"},
]


def test_the_last_result_of_each_cluster_counts() -> None:
    assert release_rows(HOSTS) == [
        "berlin | shop/ratings v1 -> v2 | rolled back | v1 100%",
        "oslo | failed | no | answer",
        "paris | not begun",
    ]


def test_the_report_is_a_matrix_in_which_text_is_only_text() -> None:
    text = release_rows(HOSTS, "markdown", {"name": "shop-42", "ticket": "<b>"})
    assert text.startswith("# Release shop-42 (\\<b\\>)\n\n| cluster | shop/ratings |\n| --- | --- |\n")
    assert "| berlin | rolled back |\n| oslo | failed |\n| paris | not begun |\n" in text
    assert "no \\| answer" in text
    assert [one["cluster"] for one in json.loads(release_rows(HOSTS, "json"))["services"]] == [
        "berlin",
        "oslo",
        "paris",
    ]


def test_metrics_have_the_labels_of_release_cluster_and_service() -> None:
    hosts = [*HOSTS, {"inventory_hostname": 'a"b'}]
    assert release_rows(hosts, "metrics", {"name": "shop-42"}).splitlines() == [
        "# HELP canary_release_result What became of the service in the cluster, in the label result; always 1.",
        "# TYPE canary_release_result gauge",
        'canary_release_result{canary_cluster="berlin",canary_release="shop-42",destination_service_name="ratings",'
        'destination_service_namespace="shop",result="rolled_back"} 1',
        'canary_release_result{canary_cluster="oslo",canary_release="shop-42",result="failed"} 1',
        'canary_release_result{canary_cluster="paris",canary_release="shop-42",result="not begun"} 1',
        'canary_release_result{canary_cluster="a\\"b",canary_release="shop-42",result="not begun"} 1',
        "# HELP canary_release_step Current step of the service in the cluster, starting at 1; 0 before it.",
        "# TYPE canary_release_step gauge",
        'canary_release_step{canary_cluster="berlin",canary_release="shop-42",destination_service_name="ratings",'
        'destination_service_namespace="shop"} 2',
    ]
    assert "canary_release_step" not in release_rows(HOSTS[1:], "metrics", {"name": "shop-42"})


def test_other_forms_and_texts_that_are_no_duration_are_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="use lines, markdown, json or metrics"):
        release_rows(HOSTS, "html")
    with pytest.raises(AnsibleFilterError, match="soon is no duration"):
        release_seconds("soon")
    assert (release_seconds("30m"), release_seconds(None), release_seconds(2)) == (1800.0, 0.0, 2.0)
