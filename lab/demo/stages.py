# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The story itself: which playbooks run in which order, and what the traffic must look like after each."""

from __future__ import annotations

import dataclasses
import typing as t

from .plain import OTHER_IMAGE
from .player import OUT, ROOT, Play

if t.TYPE_CHECKING:
    from collections.abc import Mapping

USER = "testuser"
ROLLOUTS = OUT / "demo-rollouts"
"""Where the rollouts put their own reports."""
SHORT = {"pause": 3, "deadline": 120, "rollout_retire_after": 1, "rollout_must_promote": False}
Weights = dict[str, int]


@dataclasses.dataclass(frozen=True)
class Step:
    """One stage to come.

    everybody: version -> percent that must be measured afterwards. cohort: the same for the signed-in user, None where
    it is not measured. about_cohort: the stage is about that user. watch_scaling: put load on the versions, from the
    sidecar, and wait until this one has more pods. show_all: print everything the playbook says, not its first line.
    rollout: the phase in which the rollout among the plays must end; rolled_back: its canary is made to fail.
    ahead: its only play begins with the demo, beside the stages before it.
    plain: it needs no mesh (`plain.py`); the load begins before its plays, but after the first if that `deploys`.
    """

    name: str
    purpose: str
    plays: tuple[Play, ...]
    everybody: Weights
    cohort: Weights | None = None
    about_cohort: bool = False
    watch_scaling: str | None = None
    show_all: bool = False
    rollout: str = ""
    plain: bool = False
    deploys: bool = False
    ahead: bool = False


def plain_namespace(namespace: str) -> str:
    """Return the namespace of the stages without a mesh."""
    return f"{namespace}-plain"


def plain_steps(namespace: str, variables: Mapping[str, t.Any]) -> list[Step]:
    """Return the stages before the mesh."""
    names = {"service": "reviews", "ns": plain_namespace(namespace)}
    deploy = Play(_own("plain.yml"), {"ns": names["ns"]}, variables)
    update = Play("meshops.canary.rolling_update", {**names, "image": OTHER_IMAGE})
    canary = Play("meshops.canary.replica_canary", {**names, "image": OTHER_IMAGE, "share": 25})
    return [
        Step(
            "rolling update",
            "Without a mesh: every pod is replaced by one of a new image (the same by another name), under load.",
            (deploy, update),
            {"new": 100},
            show_all=True,
            plain=True,
            deploys=True,
        ),
        Step(
            "canary by pods",
            "Still without one: a canary of one pod beside three gets its share of new connections.",
            (canary,),
            {"stable": 75, "canary": 25},
            show_all=True,
            plain=True,
        ),
    ]


def _own(playbook: str) -> str:
    return str((ROOT / "lab" / "demo" / playbook).relative_to(ROOT))


def steps(namespace: str, variables: Mapping[str, t.Any]) -> list[Step]:
    """Return the stages. variables: what the role bookinfo needs to know on this cluster."""

    def shift(**weights: int) -> Play:
        return Play("meshops.canary.shift", {"service": "reviews", "ns": namespace, "weights": weights})

    def on_reviews(verb: str, **variables: t.Any) -> Play:
        return Play(f"meshops.canary.{verb}", {"service": "reviews", "ns": namespace, **variables})

    deploy = Play("meshops.canary.bookinfo", {"ns": namespace}, {**variables, "bookinfo_autoscale": False})
    autoscale = Play(_own("autoscale.yml"), {"ns": namespace})
    cohort = {"v2": 10, "v3": 90}
    return [
        *plain_steps(namespace, variables),
        Step("deploy", "Three versions of reviews; v2 and v3 get no traffic yet.", (deploy,), {"v1": 100}, ahead=True),
        Step("all to v1", "Already so: nothing may change.", (shift(v1=100),), {"v1": 100}),
        Step(
            "90/10", "The canary v2 gets its first share of real traffic.", (shift(v1=90, v2=10),), {"v1": 90, "v2": 10}
        ),
        Step("50/50", "The canary gets half.", (shift(v1=50, v2=50),), {"v1": 50, "v2": 50}),
        Step(
            "header test",
            f"Only {USER} sees the new versions; everybody else is back on v1.",
            (shift(v1=100), on_reviews("header_test", weights=cohort)),
            {"v1": 100},
            cohort,
            about_cohort=True,
        ),
        Step(
            "both together",
            f"Everybody else ramps up to v2 while {USER} keeps the split of the header test.",
            (shift(v1=75, v2=25), shift(v1=25, v2=75)),
            {"v1": 25, "v2": 75},
            cohort,
        ),
        Step(
            "HPA under load",
            "One autoscaler a version: under load v2 gets more pods by itself, and the shares stay.",
            (autoscale,),
            {"v1": 25, "v2": 75},
            watch_scaling="v2",
        ),
        Step(
            "promote v2",
            "v2 replaces v1 for everybody, with the pods that takes.",
            (on_reviews("promote", version="v2"),),
            {"v2": 100},
        ),
        Step(
            "roll back to v1",
            f"And back again at once, {USER} too.",
            (on_reviews("rollback", stable="v1", cohorts="true"),),
            {"v1": 100},
            {"v1": 100},
        ),
        *rollout_steps(namespace, can_fail=bool(variables.get("bookinfo_image"))),
        Step("status", "What the cluster says of itself.", (on_reviews("status"),), {"v2": 100}, show_all=True),
    ]


def rollout_steps(namespace: str, *, can_fail: bool) -> list[Step]:
    """Return the progressive rollouts. can_fail: the images are the lab's own, which can be told to fail."""

    def rollout(stable: str, canary: str, steps: list[int]) -> Play:
        names = {"service": "reviews", "ns": namespace, "stable": stable, "canary": canary}
        return Play("meshops.canary.rollout", {**names, "steps": steps, **SHORT}, {"report_dir": str(ROLLOUTS)})

    def v3_fails(share: str) -> Play:
        return Play(_own("fault.yml"), {"ns": namespace, "version": "v3", "error_rate": share})

    good = Step(
        "a good rollout",
        "From v1 to v2 step by step, each judged by what the proxies count; at the end it is promoted.",
        (rollout("v1", "v2", [25, 100]),),
        {"v2": 100},
        rollout="promoted",
    )
    bad = Step(
        "a bad rollout",
        "Then v3, which fails half of its requests: it is taken back as soon as that is certain.",
        (v3_fails("0.5"), rollout("v2", "v3", [25, 100]), v3_fails("0")),
        {"v2": 100},
        rollout="rolled_back",
    )
    return [good, bad] if can_fail else [good]
