# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which containers only go on failing, and after how long. For the rest see the filter deployment_status."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.meshops.canary.plugins.module_utils.replicas.deployment_status import patience
from support.deployments import deployment

Object = dict[str, t.Any]
WANTED = deployment("shop", image="shop:2")


def pod(reason: str, *, image: str = "shop:2", restarts: int = 0, ending: bool = False, init: bool = False) -> Object:
    status = {"name": "shop", "restartCount": restarts, "state": {"waiting": {"reason": reason}}}
    containers = [{"name": "shop", "image": image}, {"name": "helper", "image": "helper:9"}, {"name": "istio-proxy"}]
    metadata = {"name": "shop-1", **({"deletionTimestamp": "2026-11-22T12:00:00Z"} if ending else {})}
    where = "initContainerStatuses" if init else "containerStatuses"
    return {"metadata": metadata, "spec": {"containers": containers}, "status": {where: [status]}}


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        (pod("InvalidImageName"), 0),
        (pod("ImagePullBackOff"), 45),
        (pod("ErrImagePull", init=True), 45),
        (pod("CreateContainerConfigError"), 45),
        (pod("CrashLoopBackOff", restarts=3), 0),
        (pod("CrashLoopBackOff", restarts=2), None),
        (pod("ContainerCreating"), None),
        (pod("ImagePullBackOff", image="shop:1"), None),  # an old one says nothing about the new template
        (pod("ImagePullBackOff", ending=True), None),
    ],
)
def test_how_long_a_failing_container_is_borne(found: Object, seconds: float | None) -> None:
    assert patience(WANTED, [found]) == ({} if seconds is None else {"shop-1/shop": seconds})
