# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of a release that is watched: a line for each service that stands elsewhere than before."""

from __future__ import annotations

import time
import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.commands import release
from ansible_collections.meshops.canary.plugins.module_utils.errors import ApiError
from ansible_collections.meshops.canary.plugins.module_utils.release.data import Entry, Release
from ansible_collections.meshops.canary.plugins.module_utils.release.record import ReleaseRecord

ENTRIES = tuple(Entry(name, "shop", "v1", "v2", {}) for name in ("ratings", "reviews"))


class Watched:
    """A release whose looks are scripted: (phase of its record, step and weight of ratings), or an error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *looks: t.Any, watch: float = 600.0) -> None:
        self.lines: list[str] = []
        self.pauses = 0
        self._looks, self._now = list(looks), looks[0]
        members = [SimpleNamespace(entry=one, key=one.key, stands=self._standing(one)) for one in ENTRIES]
        work = SimpleNamespace(
            params={"watch": watch},
            release=Release("shop-42", "shop", ENTRIES, (10, 100)),
            cluster_name="berlin",
            members=members,
            store=SimpleNamespace(read=self._read),
            show=self.lines.append,
        )
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=self._pause)
        monkeypatch.setattr(release, "time", clock)
        self.result = release._present(t.cast("t.Any", work))

    def _pause(self, _seconds: float) -> None:
        self.pauses += 1

    def _read(self) -> ReleaseRecord | None:
        self._now = self._looks.pop(0)
        if isinstance(self._now, Exception):
            raise self._now
        return ReleaseRecord("shop-42", "berlin", self._now[0], 0.0) if self._now[0] else None

    def _standing(self, entry: Entry) -> t.Callable[[], dict[str, t.Any]]:
        def stands() -> dict[str, t.Any]:
            step, weight = self._now[1:] if entry.service == "ratings" else (0, 0)
            result = "observing" if step else "not_begun"
            return {
                "result": result,
                "msg": "",
                "step": step,
                "steps": 2,
                "weight": weight,
                "holder": "",
                "rollout": "",
            }

        return stands


def test_each_change_of_a_service_is_a_line_until_the_release_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [("", 0, 0), ("shifting", 1, 10), ("shifting", 1, 10), ("finished", 2, 100)]
    watched = Watched(monkeypatch, *looks)
    assert watched.lines == [
        "shop/ratings v1 -> v2 | not begun | 0%",
        "shop/reviews v1 -> v2 | not begun | 0%",
        "shop/ratings v1 -> v2 | step 1/2 | observing | 10%",
        "shop/ratings v1 -> v2 | step 2/2 | observing | 100%",
    ]
    assert (watched.pauses, watched.result["record_phase"]) == (3, "finished")


def test_an_api_server_that_restarts_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, ("shifting", 1, 10), ApiError("no\x1b[31m answer", None), ("rolled_back", 0, 0))
    assert watched.lines[2:] == [
        "shop/ratings v1 -> v2 | step 1/2 | unknown | no\ufffd[31m answer",
        "shop/reviews v1 -> v2 | unknown | no\ufffd[31m answer",
        "shop/ratings v1 -> v2 | not begun | 0%",
        "shop/reviews v1 -> v2 | not begun | 0%",
    ]


def test_without_a_watch_there_is_one_look_and_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, ("shifting", 1, 10), watch=0.0)
    assert (watched.lines, watched.pauses) == ([], 0)
    assert [one["step"] for one in watched.result["services"]] == [1, 0]
    with pytest.raises(ApiError):
        Watched(monkeypatch, ApiError("no answer", None))
