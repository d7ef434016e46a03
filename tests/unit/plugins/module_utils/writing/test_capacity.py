# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What autoscalers allow a rollout, before a request moves. On a real API server: tests/api/test_capacity.py."""

from __future__ import annotations

import datetime
import types
import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.meshops.canary.plugins.module_utils.errors import NotReady, Refused
from ansible_collections.meshops.canary.plugins.module_utils.objects.snapshot import Snapshot
from ansible_collections.meshops.canary.plugins.module_utils.rollout import capacity_changes
from ansible_collections.meshops.canary.plugins.module_utils.writing import capacity
from support import reviews

if t.TYPE_CHECKING:
    from ansible_collections.meshops.canary.plugins.module_utils.objects.change import Plan

NOW = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.timezone.utc)
GIVEN = {"service": "reviews", "namespace": reviews.NAMESPACE, "version": "v2", "stable": "v1", "keep_stable": True}


def task(**options: t.Any) -> capacity._Task:
    checked = ArgumentSpecValidator(capacity.SPEC.options, **capacity.SPEC.rules()).validate({**GIVEN, **options})
    assert not checked.error_messages, checked.error_messages
    return capacity._Task(
        t.cast("t.Any", types.SimpleNamespace(server_time=NOW)), checked.validated_parameters, True, print
    )


def there(pods: int, cpu: int | None, share: int = 100, maximum: int = 30) -> Snapshot:
    """Return reviews with so many pods of v1, `share` percent of the requests on them; v2 may have 4 pods."""
    lists = reviews.healthy()
    lists["virtual_services"] = [reviews.virtual_service(weights={"v1": share, "v2": 100 - share})]
    lists["deployments"] = [reviews.deployment("reviews-v1", pods), reviews.deployment("reviews-v2", 1)]
    lists["hpas"] = [
        reviews.hpa("reviews-v1", cpu=cpu, maximum=maximum),
        reviews.hpa("reviews-v2", cpu=cpu, maximum=4),
    ]
    return Snapshot(**lists)


def floor(plan: Plan) -> int:
    """Return the floor that stable's autoscaler gets."""
    (change,) = [one for one in plan.changes if one.name == "reviews-v1"]
    assert change.after
    return int(change.after["spec"]["minReplicas"])


def test_the_last_share_is_refused_while_nobody_has_moved() -> None:
    with pytest.raises(Refused) as caught:
        task(share=10, last_share=100)._decide(there(10, 80))
    (finding,) = caught.value.findings
    assert (finding.code, finding.object) == (
        "CAPACITY_BELOW_SHARE",
        f"HorizontalPodAutoscaler {reviews.NAMESPACE}/reviews-v2",
    )
    assert finding.reason == "Its maxReplicas is 4, but 100% of the requests need 16 pods at the current load of v1."
    assert '{"spec": {"maxReplicas": 20}}' in finding.remedy, "with the headroom that is asked for later"
    assert finding.remedy in caught.value.msg
    assert "force: [CAPACITY_BELOW_SHARE]" in caught.value.msg


def test_whoever_forces_it_goes_on_and_is_warned() -> None:
    plan = task(share=10, last_share=100, force=["CAPACITY_BELOW_SHARE"])._decide(there(10, 80))
    (warning,) = plan.notes
    assert warning.startswith("CAPACITY_BELOW_SHARE: HorizontalPodAutoscaler")


@pytest.mark.parametrize(
    ("options", "pods", "cpu"),
    [
        ({"last_share": 100}, 4, 50),  # enough, but for the headroom
        ({"last_share": 100}, 10, None),  # not measured: how many it needs is a guess
        ({}, 10, 80),
    ],
)
def test_what_the_change_of_weights_would_let_pass_is_let_pass(
    options: dict[str, t.Any], pods: int, cpu: int | None
) -> None:
    assert task(share=10, **options)._decide(there(pods, cpu)).notes == ()


def test_what_there_is_no_room_for_is_told() -> None:
    requested = task(share=100)
    requested._decide(there(10, None))
    result = "0 of 4 pods ready, 10 are needed, but maxReplicas of its autoscaler is 4: raise it"
    assert requested._sentence(changed=True).startswith(f"reviews v2: {result} (")
    assert (requested._numbers()["pods"], requested._numbers()["needed"]) == (4, 10)


@pytest.mark.parametrize(
    ("pods", "cpu", "share", "maximum", "wanted"),
    [
        (8, 50, 100, 30, 8),  # before the first step: what it has
        (8, 13, 25, 30, 9),  # as before, its pods are less busy: 8 * 13/50 * 4 is 8.32
        (8, 40, 25, 30, 26),  # three times as many requests meanwhile
        (8, 40, 25, 10, 10),  # all it may have
        (8, None, 25, 30, 8),  # not measured
        (8, 40, 0, 30, 8),  # no requests, so its load says nothing
    ],
)
def test_stable_is_kept_able_to_take_everything_back(
    pods: int, cpu: int | None, share: int, maximum: int, wanted: int
) -> None:
    assert floor(task(share=10)._decide(there(pods, cpu, share, maximum))) == wanted


def test_what_was_measured_before_the_last_pods_or_shares_counts_for_nothing() -> None:
    """Three times as many pods would be asked for at every look, until it has been measured what the first ones do."""
    requested = {"share": 50, "last_share": 100}
    scaled, written = there(8, 90, 50), there(8, 90, 50)
    (scaled.hpas or ())[0]["status"]["lastScaleTime"] = "2026-05-01T11:59:30Z"
    assert floor(task(**requested)._decide(scaled)) == 8
    entry = {"manager": "ada", "time": "2026-05-01T11:59:30Z"}
    (written.virtual_services or ())[0]["metadata"]["managedFields"] = [entry]
    assert floor(task(share=50)._decide(written)) == 8
    entry["time"] = "2026-05-01T11:59:10Z"
    assert floor(task(share=50)._decide(written)) == 29
    with pytest.raises(Refused, match="need 29 pods"):
        task(**requested)._decide(written)


KEDA = {"labels": {"scaledobject.keda.sh/name": "reviews-v2"}}


def test_the_last_share_with_kedas_autoscaler_is_refused_while_nobody_has_moved() -> None:
    """minReplicas would be set back within seconds, half of the way up."""
    snapshot = there(3, None)
    (snapshot.hpas or ())[1]["metadata"].update(KEDA)
    with pytest.raises(Refused) as caught:
        task(share=10, last_share=100)._decide(snapshot)
    (finding,) = caught.value.findings
    assert finding.code == "OWNED_BY_CONTROLLER"
    assert "100% of the requests need 3 pods. It is written by KEDA (ScaledObject reviews-v2)" in finding.reason
    assert '"minReplicaCount": 3' in finding.remedy
    assert "force: [OWNED_BY_CONTROLLER]" in caught.value.msg
    (warning,) = task(share=10, last_share=100, force=["OWNED_BY_CONTROLLER"])._decide(snapshot).notes
    assert warning.startswith("OWNED_BY_CONTROLLER: HorizontalPodAutoscaler")
    (snapshot.hpas or ())[1]["spec"]["minReplicas"] = 4
    assert task(share=10, last_share=100)._decide(snapshot).notes == (), "enough without a write"


def test_stable_with_kedas_autoscaler_is_not_held_and_that_is_a_warning() -> None:
    snapshot = there(8, 50)
    (snapshot.hpas or ())[0]["metadata"].update(KEDA)
    plan = task(share=10)._decide(snapshot)
    assert [change.name for change in plan.changes] == []
    (note,) = plan.notes
    assert "so its minReplicas is not raised to 8" in note


class Stuck:
    """A cluster in which an autoscaler keeps reviews-v2 at one pod that is ready. It says nothing of anything else."""

    server_time = NOW
    requests: t.ClassVar[dict[str, int]] = {}

    def __init__(self, hpa: dict[str, t.Any]) -> None:
        self.hpa = hpa
        self.deployment = reviews.deployment("reviews-v2", 1)
        status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
        self.deployment = reviews.changed(self.deployment, metadata={"generation": 1}, status=status)
        self.deployment["spec"]["selector"] = {"matchLabels": {"app": "reviews"}}

    def get(self, *_path: t.Any) -> dict[str, t.Any]:
        return self.deployment

    def list(self, resource: t.Any, *_path: t.Any, **_more: t.Any) -> list[dict[str, t.Any]]:
        return {"Deployment": [self.deployment], "HorizontalPodAutoscaler": [self.hpa]}.get(resource.kind, [])


@pytest.mark.parametrize(
    ("hpa", "words"),
    [
        (reviews.changed(reviews.hpa("reviews-v2"), metadata=KEDA), "it is written by KEDA (ScaledObject reviews-v2)"),
        (
            reviews.hpa("reviews-v2"),
            "HorizontalPodAutoscaler bookinfo/reviews-v2 asks for 1 pods, its minReplicas is 1",
        ),
        (reviews.hpa("reviews-v1"), "Deployment bookinfo/reviews-v2 asks for 1 pods"),
    ],
)
def test_the_reason_of_a_timeout_is_never_empty(hpa: dict[str, t.Any], words: str) -> None:
    requested = task(pods=3, wait_timeout=0)
    requested._cluster = t.cast("t.Any", Stuck(hpa))
    requested._goal = capacity_changes.Goal("reviews-v2", 3, 3)
    with pytest.raises(NotReady) as caught:
        requested._wait()
    assert words in caught.value.msg
    assert "s: ." not in caught.value.msg
