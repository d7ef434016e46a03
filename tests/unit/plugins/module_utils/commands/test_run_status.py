# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A record that cannot be read is no rollout and no silence: a note says why. The rest is in tests/api."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.canary.plugins.module_utils.commands import run_status
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.routes.hosts import ServiceRef

SERVICE = ServiceRef("reviews", "shop")


class Cluster:
    """Answers every GET with one object, or an error."""

    server_time = None

    def __init__(self, answer: dict[str, t.Any] | ApiError | None) -> None:
        self._answer = answer

    def get(self, *_path: t.Any) -> dict[str, t.Any] | None:
        if isinstance(self._answer, ApiError):
            raise self._answer
        return self._answer


def noted(answer: dict[str, t.Any] | ApiError | None) -> list[str]:
    notes: list[str] = []
    assert run_status.status(t.cast(t.Any, Cluster(answer)), SERVICE, {"v1": 100.0}, {}, notes) is None
    return notes


def test_no_record_is_no_note() -> None:
    assert noted(None) == []


def test_a_right_that_is_missing_is_said() -> None:
    (note,) = noted(ApiError("no right to get configmaps", 403, reason="Forbidden"))
    assert note == "Whether a rollout is under way is not known: no right to get configmaps"


def test_a_record_that_is_no_record_is_said() -> None:
    (note,) = noted({"data": {"run": "<html>", "plan": "{}", "events": "[]"}})
    assert "ConfigMap shop/canary-rollout-reviews holds the record" in note
