# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a cluster and its images come from, with the reason."""

from __future__ import annotations

import pytest

from lab.kindlab import host, sources
from lab.kindlab.errors import LabError


def test_configured_cluster_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_LAB_CONTEXT", "prod-eu")
    monkeypatch.setattr(host, "docker_problem", lambda: pytest.fail("Docker must not be checked"))
    source = sources.choose()
    assert source.kind == sources.EXISTING
    assert "CANARY_LAB_CONTEXT=prod-eu" in source.reason


def test_running_docker_is_preferred_to_a_private_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "docker_problem", lambda: "")
    assert sources.choose().kind == sources.DOCKER


def test_reason_for_private_docker_includes_the_docker_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "docker_problem", lambda: "no daemon answers")
    monkeypatch.setattr(host, "is_root_on_linux", lambda: True)
    source = sources.choose()
    assert source.kind == sources.PRIVATE
    assert "no daemon answers" in source.reason


def test_no_possible_source_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "docker_problem", lambda: "no daemon answers")
    monkeypatch.setattr(host, "is_root_on_linux", lambda: False)
    with pytest.raises(LabError, match="no daemon answers") as caught:
        sources.choose()
    assert "CANARY_LAB_KUBECONFIG" in caught.value.remedy


def test_private_docker_cannot_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    private = sources.Source(sources.PRIVATE, "")
    assert sources.images_mode(private)[0] == "build"
    monkeypatch.setenv("IMAGES", "pull")
    with pytest.raises(LabError, match="the private daemon has none"):
        sources.images_mode(private)


def test_configured_images_mode_skips_the_registry_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_registry_answers", lambda: pytest.fail("the registry must not be contacted"))
    monkeypatch.setenv("IMAGES", "build")
    assert sources.images_mode(sources.Source(sources.DOCKER, ""))[0] == "build"
    monkeypatch.setenv("IMAGES", "maybe")
    with pytest.raises(LabError, match="IMAGES=maybe"):
        sources.images_mode(sources.Source(sources.DOCKER, ""))
