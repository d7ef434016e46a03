# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifests of metrics-server and Prometheus, and the configuration of Prometheus."""

from __future__ import annotations

import pytest
import yaml

from lab.kindlab import addons


@pytest.mark.parametrize("pulled", [True, False])
def test_manifests_are_valid_yaml_for_the_images_mode(pulled: bool) -> None:
    objects = [item for text in addons.manifests(pulled=pulled) for item in yaml.safe_load_all(text)]
    names = {(item["kind"], item["metadata"]["name"]) for item in objects}
    assert {("ConfigMap", "prometheus"), ("Deployment", "prometheus"), ("Deployment", "metrics-server")} <= names
    assert (("Deployment", "prometheus-targets") in names) == (not pulled)
    images = [
        container["image"]
        for item in objects
        if item["kind"] == "Deployment"
        for container in item["spec"]["template"]["spec"]["containers"]
    ]
    assert all(image.startswith("localhost/") != pulled for image in images)


def test_metrics_are_derived_only_for_stock_envoy() -> None:
    pulled, built = addons.configuration(pulled=True), addons.configuration(pulled=False)
    assert set(pulled) == {"prometheus.yaml"}
    assert set(built) == {"prometheus.yaml", "rules-stock-envoy.yaml", "targets.py"}
    (job,) = yaml.safe_load(pulled["prometheus.yaml"])["scrape_configs"]
    assert job["kubernetes_sd_configs"] == [{"role": "pod"}]
    (job,) = yaml.safe_load(built["prometheus.yaml"])["scrape_configs"]
    assert job["http_sd_configs"][0]["url"] == "http://prometheus-targets.istio-system"


def test_changed_configuration_replaces_the_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    def annotation() -> str:
        (text,) = [text for text in addons.manifests(pulled=True) if "--storage.tsdb.path" in text]
        deployment = next(item for item in yaml.safe_load_all(text) if item["kind"] == "Deployment")
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["configuration"])

    before = annotation()
    assert annotation() == before
    monkeypatch.setattr(addons, "configuration", lambda *, pulled: {"prometheus.yaml": f"other {pulled}"})
    assert annotation() != before
