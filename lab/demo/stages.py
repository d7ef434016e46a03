# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stages of the demo: which playbooks run in which order, and which shares the requests must get after each."""

from __future__ import annotations

import dataclasses
import typing as t

from .playbooks import OUT, ROOT, Playbook

if t.TYPE_CHECKING:
    from collections.abc import Mapping

USER = "testuser"
ROLLOUT_REPORTS = OUT / "demo-rollouts"
ROLLOUT_OPTIONS = {
    "rollout_pause": 3,
    "rollout_deadline": 120,
    "rollout_retire_after": 1,
    "rollout_must_promote": False,
}
OTHER_IMAGE = "{other image}"
"""Placeholder for the image of the stages without a mesh: its digest, or its tag again, two names for one image."""
Weights = dict[str, int]


@dataclasses.dataclass(frozen=True)
class StageSpec:
    """A stage.

    everybody: version -> percent that must be measured afterwards. cohort: the same for the signed-in user, None where
    it is not measured. about_cohort: that user is the subject of the stage. scaled_version: the sidecar's load must
    make the autoscaler of this version add pods. show_all: print all messages of the playbooks, not the first alone.
    rollout: the phase in which the rollout must end; for rolled_back its canary fails on purpose.
    ahead: its only playbook starts with the demo and runs beside the stages before it.
    without_mesh: it runs on plain Kubernetes. deploys: the load starts after its first playbook, not before.
    """

    name: str
    purpose: str
    playbooks: tuple[Playbook, ...]
    everybody: Weights
    cohort: Weights | None = None
    about_cohort: bool = False
    scaled_version: str | None = None
    show_all: bool = False
    rollout: str = ""
    without_mesh: bool = False
    deploys: bool = False
    ahead: bool = False


def namespace_without_mesh(namespace: str) -> str:
    """Return the namespace of the stages without a mesh."""
    return f"{namespace}-plain"


def stages_without_mesh(namespace: str, variables: Mapping[str, t.Any]) -> list[StageSpec]:
    """Return the stages on plain Kubernetes. variables: of the role bookinfo on this cluster."""
    names = {"service": "reviews", "ns": namespace_without_mesh(namespace)}
    deploy = Playbook(_of_demo("plain_kubernetes.yml"), {"ns": names["ns"]}, variables)
    update = Playbook("meshops.canary.rolling_update", {**names, "image": OTHER_IMAGE})
    canary = Playbook("meshops.canary.replica_canary", {**names, "image": OTHER_IMAGE, "share": 25})
    return [
        StageSpec(
            "rolling update",
            "Without a mesh: under load, a new image (the same by another name) replaces every pod.",
            (deploy, update),
            {"new": 100},
            show_all=True,
            without_mesh=True,
            deploys=True,
        ),
        StageSpec(
            "canary by pods",
            "Without a mesh: a canary of one pod beside three gets its share of new connections.",
            (canary,),
            {"stable": 75, "canary": 25},
            show_all=True,
            without_mesh=True,
        ),
    ]


def _of_demo(playbook: str) -> str:
    return str((ROOT / "lab" / "demo" / playbook).relative_to(ROOT))


def all_stages(namespace: str, variables: Mapping[str, t.Any]) -> list[StageSpec]:
    """Return the stages in order. variables: of the role bookinfo on this cluster."""

    def shift(**weights: int) -> Playbook:
        return Playbook("meshops.canary.shift", {"service": "reviews", "ns": namespace, "weights": weights})

    def on_reviews(playbook: str, **variables: t.Any) -> Playbook:
        return Playbook(f"meshops.canary.{playbook}", {"service": "reviews", "ns": namespace, **variables})

    deploy = Playbook("meshops.canary.bookinfo", {"ns": namespace}, {**variables, "bookinfo_autoscale": False})
    autoscale = Playbook(_of_demo("autoscale.yml"), {"ns": namespace})
    cohort = {"v2": 10, "v3": 90}
    return [
        *stages_without_mesh(namespace, variables),
        StageSpec(
            "deploy", "Three versions of reviews; v2 and v3 get no traffic yet.", (deploy,), {"v1": 100}, ahead=True
        ),
        StageSpec("all to v1", "It is so already: nothing may change.", (shift(v1=100),), {"v1": 100}),
        StageSpec(
            "90/10", "The canary v2 gets its first share of requests.", (shift(v1=90, v2=10),), {"v1": 90, "v2": 10}
        ),
        StageSpec("50/50", "The canary gets half.", (shift(v1=50, v2=50),), {"v1": 50, "v2": 50}),
        StageSpec(
            "header test",
            f"Only {USER} gets the new versions; everybody else gets v1 again.",
            (shift(v1=100), on_reviews("header_test", weights=cohort)),
            {"v1": 100},
            cohort,
            about_cohort=True,
        ),
        StageSpec(
            "both together",
            f"Everybody else is shifted to v2 step by step while {USER} keeps the weights of the header test.",
            (shift(v1=75, v2=25), shift(v1=25, v2=75)),
            {"v1": 25, "v2": 75},
            cohort,
        ),
        StageSpec(
            "HPA under load",
            "Each version has an autoscaler: under load v2 gets more pods, and the shares stay.",
            (autoscale,),
            {"v1": 25, "v2": 75},
            scaled_version="v2",
        ),
        StageSpec(
            "promote v2",
            "v2 replaces v1 for everybody, with the pods it needs for that.",
            (on_reviews("promote", version="v2"),),
            {"v2": 100},
        ),
        StageSpec(
            "roll back to v1",
            f"All requests go back to v1 at once, those of {USER} too.",
            (on_reviews("rollback", stable="v1", cohorts="true"),),
            {"v1": 100},
            {"v1": 100},
        ),
        *rollout_stages(namespace, can_fail=bool(variables.get("bookinfo_image"))),
        StageSpec(
            "status", "The status of the service at the end.", (on_reviews("status"),), {"v2": 100}, show_all=True
        ),
    ]


def rollout_stages(namespace: str, *, can_fail: bool) -> list[StageSpec]:
    """Return the progressive rollouts. can_fail: the images are the lab's own, which can fail on purpose."""

    def rollout(stable: str, canary: str, steps: list[int]) -> Playbook:
        names = {"service": "reviews", "ns": namespace, "stable": stable, "canary": canary}
        hidden = {"rollout_report_dir": str(ROLLOUT_REPORTS)}
        return Playbook("meshops.canary.rollout", {**names, "steps": steps, **ROLLOUT_OPTIONS}, hidden)

    def set_errors_of_v3(share: str) -> Playbook:
        return Playbook(_of_demo("fault.yml"), {"ns": namespace, "version": "v3", "error_rate": share})

    good = StageSpec(
        "a good rollout",
        "From v1 to v2 step by step, each judged by the counters of the proxies; v2 is promoted at the end.",
        (rollout("v1", "v2", [25, 100]),),
        {"v2": 100},
        rollout="promoted",
    )
    bad = StageSpec(
        "a bad rollout",
        "Then v3, which fails half of its requests: it is rolled back as soon as that is statistically significant.",
        (set_errors_of_v3("0.5"), rollout("v2", "v3", [25, 100]), set_errors_of_v3("0")),
        {"v2": 100},
        rollout="rolled_back",
    )
    return [good, bad] if can_fail else [good]
