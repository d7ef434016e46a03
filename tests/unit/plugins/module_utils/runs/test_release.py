# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release in one cluster, with scripted services: the order on the way forward and back, and what failures do."""

from __future__ import annotations

import dataclasses
import threading
import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.errors import (
    ApiError,
    CanaryError,
    Interrupted,
    InvalidInput,
    NotPromoted,
    Refused,
)
from ansible_collections.meshops.canary.plugins.module_utils.release import in_step, record
from ansible_collections.meshops.canary.plugins.module_utils.release.data import Entry, Release
from ansible_collections.meshops.canary.plugins.module_utils.release.window import Window
from ansible_collections.meshops.canary.plugins.module_utils.runs import release, together
from ansible_collections.meshops.canary.plugins.module_utils.runs.lock import LockHeld
from ansible_collections.meshops.canary.plugins.module_utils.runs.member import FAILED, NOT_BEGUN, ROLLED_BACK, Outcome
from ansible_collections.meshops.canary.plugins.module_utils.runs.record_store import RolloutOver
from ansible_collections.meshops.canary.plugins.module_utils.runs.release import ReleaseRun
from ansible_collections.meshops.canary.plugins.module_utils.runs.release_window import OutsideWindow
from ansible_collections.meshops.canary.plugins.module_utils.task.context import Context, Terminal
from ansible_collections.meshops.canary.plugins.module_utils.task.interrupts import Stop

NAMES = ("ratings", "reviews", "page")
ENTRIES = tuple(Entry(name, "shop", "v1", "v2", {}) for name in NAMES)
KEYS = [one.key for one in ENTRIES]
PATH = [(point, step) for step in range(2) for point in in_step.PER_STEP]
PATH += [("before_promotion", 1), ("on_promote", 1)]


class ScriptedMember:
    """A service whose calls are recorded in `calls`. at: index in PATH where its rollout stands, -1 before it began.

    fails: index in PATH -> what happens when it should move on from there: an error to raise, or a reason to go back.
    """

    def __init__(self, entry: Entry, calls: list[str], at: int = -1, fails: t.Any = None) -> None:
        self.entry, self.key, self._calls = entry, entry.key, calls
        self._at, self._fails = at, fails or {}
        self.result: dict[str, t.Any] = {}
        self.digest, self.is_new, self.changed = "", False, False
        self.warnings: list[str] = []
        self.released = self.finished = False
        self.finishable, self.outcome = "", Outcome(ROLLED_BACK, "it is back", True)
        self.error: Exception | None = None
        self.barrier: threading.Barrier | None = None
        self.interrupt: t.Callable[[], None] | None = None
        self.waits = False

    @property
    def position(self) -> in_step.Position:
        return in_step.position(self.result["next"], self.result["run"]["at"])

    @property
    def is_on_its_way(self) -> bool:
        return bool(self.result.get("next") and self.result["next"] != "before_rollback")

    def advance(self) -> None:
        point = PATH[self._at][0] if self.result else "open"
        self._calls.append(f"{self.entry.service} {point}")
        if point == "before_judging" and self.barrier is not None:
            self.barrier.wait(10)
        while self.waits and point == "before_judging" and self.interrupt is not None:
            self.interrupt()
        failure = self._fails.get(self._at if self.result else "open")
        if isinstance(failure, BaseException):
            raise failure
        if failure:
            self.result = {**self.result, "next": "before_rollback", "run": {"id": "1", "at": 0, "reason": failure}}
            return
        self.changed = True
        if not self.result:
            self.is_new = self._at < 0
            self._at = max(self._at, 0)
        else:
            self._at += 1
        point, step = PATH[self._at]
        self.result = {"next": point, "msg": "", "run": {"id": f"id-{self.key}", "at": step, "phase": "promoting"}}
        self.digest = f"digest-{self._at}"

    resume = advance

    def roll_back(self, note: str, *, also_promoted: bool = False) -> Outcome:
        self._calls.append(f"{self.entry.service} back")
        if self.error is not None:
            raise self.error
        return self.outcome

    def release(self) -> None:
        self.released = True

    def check_finished(self) -> str:
        return self.finishable

    def finish(self) -> None:
        self._calls.append(f"{self.entry.service} finish")
        self.result = {"next": "", "msg": "", "run": {"id": "1", "at": 1, "phase": "promoted", "reason": ""}}


class MemoryStore:
    """The record of a release, in memory."""

    object = "ConfigMap shop/canary-release-shop-42"

    def __init__(self, release_of: Release) -> None:
        self._release = release_of
        self.record: record.ReleaseRecord | None = None
        self.broken: CanaryError | None = None
        self.clock = 1000.0

    def read(self) -> record.ReleaseRecord | None:
        return self.record

    def now(self) -> float:
        return self.clock

    def write(self, phase: t.Any, reason: str, *, wave: str = "", rollouts: dict[str, str] | None = None) -> bool:
        if self.broken is not None:
            raise self.broken
        known = self.record or record.first(self._release, "berlin", wave, self.clock)
        self.record = known.moved(phase, self.clock, "", "ada", reason)
        return True

    @property
    def phases(self) -> list[str]:
        return [one["phase"] for one in self.record.decided] if self.record else []


class Scene:
    """A release of scripted services."""

    def __init__(self, *, keep_old: float = 0.0, check_mode: bool = False, **members: t.Any) -> None:
        self.calls: list[str] = []
        self.release = Release("shop-42", "shop", ENTRIES, (50, 100), ticket="OPS-1", keep_old=keep_old)
        self.members = [ScriptedMember(one, self.calls, **members.get(one.service, {})) for one in ENTRIES]
        self.store = MemoryStore(self.release)
        self.shown: list[str] = []
        self.rollback_requested = False
        terminal = Terminal(rollback_requested=lambda: self.rollback_requested)
        context = Context(check_mode, print, {}, terminal, lambda _module, part: self.shown.append(str(part["text"])))
        self.run = ReleaseRun(self.release, t.cast("t.Any", self.members), t.cast("t.Any", self.store), context)
        for one in self.members:
            one.interrupt = self.run.together.interrupt

    def back(self) -> list[str]:
        return [one.removesuffix(" back") for one in self.calls if one.endswith(" back")]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "GRACE_SECONDS", 2.0)
    monkeypatch.setattr(together, "LOOK_EVERY", 0.01)


def test_all_go_in_step_and_writes_of_routes_are_callees_first() -> None:
    scene = Scene()
    done = scene.run.shift()
    stages = [scene.calls[index : index + 3] for index in range(0, len(scene.calls), 3)]
    points = ["open", *(point for point, _step in PATH[:-1])]
    assert [sorted(stage) for stage in stages] == [sorted(f"{name} {point}" for name in NAMES) for point in points]
    for stage in stages:
        if stage[0].endswith(("before_shift", "before_promotion")):
            assert [one.partition(" ")[0] for one in stage] == list(NAMES)
    assert (done["next"], [one["result"] for one in done["services"]]) == ("", ["shifted"] * 3)
    assert all(one.released for one in scene.members), "whoever finishes or rolls back needs the locks"
    assert scene.store.phases == ["shifting", "shifted"]


def test_all_are_judged_at_the_same_time() -> None:
    """Each judgement waits until all three have begun: one after another they would never end."""
    scene = Scene()
    barrier = threading.Barrier(3)
    for one in scene.members:
        one.barrier = barrier
    assert scene.run.shift()["next"] == ""
    assert not barrier.broken


def test_one_step_returns_before_the_next_and_keeps_the_locks() -> None:
    scene = Scene()
    first = scene.run.shift(one_step=True)
    assert first["next"] == "step"
    assert first["record_digests"] == dict.fromkeys(KEYS, "digest-4")
    assert not any(one.released for one in scene.members)
    assert scene.store.phases == ["shifting"]


def test_one_failure_takes_all_back_callers_first_and_waits_for_nobody() -> None:
    scene = Scene(ratings={"fails": {2: "10 of 100 requests failed"}})
    for one in scene.members[1:]:
        one.waits = True  # their judgement would last forever
    with pytest.raises(NotPromoted) as failed:
        scene.run.shift()
    assert scene.back() == ["page", "reviews", "ratings"]
    assert "Reason: shop/ratings: 10 of 100 requests failed" in failed.value.msg
    assert "Release shop-42 (OPS-1) was not promoted. All services are back" in failed.value.msg
    assert scene.store.phases == ["shifting", "rolling_back", "rolled_back"]
    assert [one["result"] for one in failed.value.details["services"]] == ["rolled_back"] * 3


def test_after_a_failure_on_the_way_no_other_service_begins_its_share() -> None:
    scene = Scene(ratings={"fails": {1: Refused("no right to patch")}})
    with pytest.raises(NotPromoted, match="shop/ratings: no right to patch"):
        scene.run.shift()
    assert "reviews before_shift" not in scene.calls
    assert scene.back() == ["page", "reviews", "ratings"]


def test_a_service_that_somebody_else_rolled_back_takes_the_others_along() -> None:
    scene = Scene(reviews={"fails": {2: RolloutOver("ended by another run: it is rolled back")}})
    with pytest.raises(NotPromoted, match="shop/reviews: ended by another run"):
        scene.run.shift()
    assert len(scene.back()) == 3


def test_a_service_that_cannot_go_back_keeps_nobody_and_is_named() -> None:
    scene = Scene(ratings={"fails": {2: "it is slow"}})
    scene.members[2].error = ApiError("the API server is gone", None)
    scene.members[1].error = KeyError("a defect")
    with pytest.raises(NotPromoted, match="NOT all services could be rolled back") as failed:
        scene.run.shift()
    assert [one["result"] for one in failed.value.details["services"]] == [ROLLED_BACK, FAILED, FAILED]
    assert "the API server is gone" in failed.value.details["services"][2]["msg"]
    assert scene.store.phases[-1] == "rolling_back", "the next run goes on with the way back"


def test_the_way_back_does_not_depend_on_the_release_record() -> None:
    scene = Scene(ratings={"fails": {2: "it is slow"}})
    write = scene.store.write

    def broken(phase: str, reason: str, **given: t.Any) -> bool:
        if phase != "shifting":
            raise ApiError("no space left", 500)
        return write(phase, reason, **given)

    scene.store.write = broken  # type: ignore[method-assign]
    with pytest.raises(NotPromoted, match="All services are back"):
        scene.run.shift()
    assert any("could not be written: no space left" in one for one in scene.run.warnings)


def test_a_way_back_that_was_decided_is_completed_before_anything_else() -> None:
    scene = Scene(**{name: {"at": 3} for name in NAMES})
    scene.store.write("rolling_back", "ratings failed")
    with pytest.raises(NotPromoted, match="its way back was decided, and had not ended"):
        scene.run.shift()
    assert scene.calls == ["page back", "reviews back", "ratings back"]
    assert scene.store.phases[-1] == "rolled_back"


def test_services_of_a_killed_run_come_together_again() -> None:
    scene = Scene(ratings={"at": 3}, reviews={"at": 1}, page={"at": 0})
    assert scene.run.shift()["next"] == ""
    opened = scene.calls[3:]
    assert opened[:3] == ["page before_step", "reviews before_shift", "page before_shift"]
    assert sorted(opened[3:5]) == ["page before_judging", "reviews before_judging"]


def test_a_refused_service_leaves_those_that_go_on_alone_and_ends_those_just_begun() -> None:
    scene = Scene(ratings={"at": 3}, reviews={"fails": {"open": InvalidInput("stable: no version v1")}})
    with pytest.raises(InvalidInput) as refused:
        scene.run.shift()
    assert refused.value.msg == "shop/reviews: stable: no version v1"
    assert scene.back() == ["page"], "ratings has requests on its new version, and a mistake of now is no reason"
    assert scene.members[0].released


def test_another_run_of_the_release_is_left_alone() -> None:
    scene = Scene(**{name: {"fails": {"open": LockHeld("ada holds the Lease")}} for name in NAMES})
    with pytest.raises(LockHeld) as held:
        scene.run.shift()
    assert "Another run of this release" in held.value.msg
    assert scene.back() == []
    assert scene.store.phases == []


def test_a_rollback_that_is_requested_at_the_terminal_takes_all_back() -> None:
    scene = Scene()
    for one in scene.members:
        one.waits = True
    timer = threading.Timer(0.2, lambda: setattr(scene, "rollback_requested", True))
    timer.start()
    with pytest.raises(NotPromoted, match="by Ctrl-C"):
        scene.run.shift()
    assert scene.back() == ["page", "reviews", "ratings"]


def test_a_signal_leaves_everything_where_it_is_and_releases_the_locks() -> None:
    scene = Scene()
    scene.members[0]._fails[3] = None
    run = scene.run.together.run

    def stop(works: t.Any, *, one_by_one: bool = False) -> None:
        if any("before_judging" in one for one in scene.calls):
            raise Stop("SIGTERM")
        run(works, one_by_one=one_by_one)

    scene.run.together.run = stop  # type: ignore[method-assign]
    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM. Release shop-42 \(OPS-1\) stays where it is"):
        scene.run.shift()
    assert scene.back() == []
    assert all(one.released for one in scene.members)
    assert scene.store.phases == ["shifting"]


def test_a_defect_takes_all_back_and_is_reported() -> None:
    scene = Scene(reviews={"fails": {2: ZeroDivisionError("division by zero")}})
    with pytest.raises(NotPromoted, match="division by zero"):
        scene.run.shift()
    assert len(scene.back()) == 3


def test_rolling_back_where_nothing_has_begun_is_complete() -> None:
    scene = Scene()
    for one in scene.members:
        one.outcome = Outcome(NOT_BEGUN, "no rollout is recorded")
    result = scene.run.roll_back("the checkout is slow")
    assert [one["result"] for one in result["services"]] == [NOT_BEGUN] * 3
    assert scene.store.phases == ["rolling_back", "rolled_back"]


def test_finishing_checks_all_before_it_writes() -> None:
    scene = Scene()
    scene.members[2].finishable = "v2 has 50% of the requests instead of 100%"
    with pytest.raises(Refused, match="cannot be finished, nothing was written: shop/page: v2 has 50%"):
        scene.run.finish()
    assert (scene.calls, scene.store.phases) == ([], [])
    scene.members[2].finishable = ""
    assert [one["result"] for one in scene.run.finish()["services"]] == ["promoted"] * 3
    assert scene.store.phases == ["finishing", "finished"]


def test_old_pods_are_kept_as_long_as_the_release_says() -> None:
    scene = Scene(keep_old=3600.0)
    scene.store.write("shifted", "")
    scene.store.clock += 600
    with pytest.raises(Refused, match="keep_old lasts for another 3000 s"):
        scene.run.finish()
    assert scene.run.finish(early=True)["next"] == ""


def test_what_is_not_finished_is_named() -> None:
    scene = Scene()

    def stopped() -> None:
        scene.members[0].result = {"run": {"id": "1", "at": 1, "phase": "stopped", "reason": "v1 still gets requests"}}

    scene.members[0].finish = stopped  # type: ignore[method-assign]
    with pytest.raises(NotPromoted, match="not everything is finished: shop/ratings: stopped: v1 still gets requests"):
        scene.run.finish()
    assert scene.store.phases == ["finishing"]


def test_a_service_that_hangs_on_its_way_back_does_not_delay_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "STAGGER_SECONDS", 0.05)
    monkeypatch.setattr(release, "BACK_SECONDS", 0.3)
    scene, hangs = Scene(), threading.Event()
    page = scene.members[2]

    def hang(note: str, *, also_promoted: bool = False) -> Outcome:
        hangs.wait(20)
        return Outcome(ROLLED_BACK, "late")

    page.roll_back = hang  # type: ignore[method-assign]
    with pytest.raises(NotPromoted) as failed:
        scene.run.roll_back("now")
    hangs.set()
    assert [one["result"] for one in failed.value.details["services"]] == [ROLLED_BACK, ROLLED_BACK, FAILED]


def test_the_way_back_of_a_cluster_without_answer_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait for it: their way back begins when this task has ended."""
    monkeypatch.setattr(release, "STAGGER_SECONDS", 0.05)
    monkeypatch.setattr(release, "UNREACHABLE_SECONDS", 0.3)
    scene, hangs = Scene(reviews={"fails": {0: ApiError("no answer", None)}}), threading.Event()

    def hang(*_args: t.Any, **_named: t.Any) -> t.Any:
        hangs.wait(20)
        return Outcome(ROLLED_BACK, "late")

    for one in scene.members:
        one.roll_back = hang  # type: ignore[method-assign]
    write = scene.store.write

    def write_or_hang(phase: str, *args: t.Any, **named: t.Any) -> t.Any:
        return hang() if phase == "rolling_back" else write(phase, *args, **named)

    scene.store.write = write_or_hang  # type: ignore[method-assign]
    with pytest.raises(NotPromoted) as failed:
        scene.run.shift()
    hangs.set()
    assert scene.store.phases == ["shifting"], "its record could not be written either"
    assert failed.value.details["rolled_back"] is False
    assert {one["msg"] for one in failed.value.details["services"]} == {"it was not back after 0.3 s"}


def windowed(days: tuple[int, ...], timezone: str) -> Scene:
    """Return a scene whose release may go on in the first minute of these days; its clock is a Thursday."""
    scene = Scene()
    windows = (Window(days, 0, 1, timezone),)
    scene.run = ReleaseRun(
        dataclasses.replace(scene.release, windows=windows),
        t.cast("t.Any", scene.members),
        t.cast("t.Any", scene.store),
        Context(False, print),
    )
    return scene


def test_the_release_goes_on_in_its_window_alone_and_back_at_any_time() -> None:
    scene = windowed((0,), "UTC")
    with pytest.raises(OutsideWindow, match="It opens Mon 1970-01-05 00:00 UTC") as refused:
        scene.run.shift()
    assert "release_outside_window=true" in refused.value.msg
    assert (scene.calls, scene.store.phases, all(one.released for one in scene.members)) == ([], [], True)
    with pytest.raises(OutsideWindow):
        scene.run.finish(early=True)
    assert scene.run.roll_back("slow")["next"] == ""
    assert scene.back() == ["page", "reviews", "ratings"]


def test_an_unknown_time_zone_is_refused_before_anything_is_written() -> None:
    scene = windowed((0,), "Europe/Berlim")
    with pytest.raises(InvalidInput, match="the time zone Europe/Berlim is unknown here"):
        scene.run.shift()
    assert scene.calls == []
