# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install Istio in a lab cluster: istiod with its webhooks, an ingress gateway, the CRDs of the Gateway API."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
import typing as t

from . import images, pods, programs, progress
from .errors import LabError

if t.TYPE_CHECKING:
    from .lab import Lab

MANIFESTS = pathlib.Path(__file__).resolve().parent.parent / "manifests"
NAMESPACE = "istio-system"
PUBLISHED_HUB = "registry.istio.io/release"
PUBLISHED_TAG = "1.30.3"
INSTALL_SECONDS = 180
WEBHOOK_SECONDS = 30
INVALID_OBJECT = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "lab-probe", "namespace": "default"},
    "spec": {
        "hosts": ["lab-probe"],
        "http": [{"route": [{"destination": {"host": h}, "weight": 0} for h in ("one", "two")]}],
    },
}


def install(lab: Lab) -> None:
    """Install or update Istio; return when its validation webhook rejects an invalid object.

    Raises LabError with the reason as soon as a pod of the mesh cannot start.
    """
    with progress.step("Install Istio", lab.logs, "Inspect the pods: kubectl -n istio-system describe pods") as step:
        crds = programs.module_dir("sigs.k8s.io/gateway-api") / "config/crd/standard"
        step.note(lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(crds)))
        _run_while_checking_pods(lab, step, _command(lab))
        step.note(lab.kubectl("apply", "-f", str(MANIFESTS / "scope.yaml")))
        _wait_for_validation(lab)


def _command(lab: Lab) -> list[str]:
    """Return the istioctl command for the published images, or for the built ones with stock Envoy."""
    pulled = lab.images_mode == "pull"
    hub, tag = (PUBLISHED_HUB, PUBLISHED_TAG) if pulled else (images.HUB, images.TAG)
    files = ["istio.yaml"] if pulled else ["istio.yaml", "istio-stock-envoy.yaml"]
    command = [str(programs.program("istioctl")), "install", "--skip-confirmation", "--kubeconfig", str(lab.kubeconfig)]
    for name in files:
        command += ["--filename", str(MANIFESTS / name)]
    return [*command, "--set", f"hub={hub}", "--set", f"tag={tag}", "--readiness-timeout", f"{INSTALL_SECONDS}s"]


def _run_while_checking_pods(lab: Lab, step: progress.Step, command: list[str]) -> None:
    """Run istioctl and check the pods meanwhile: istioctl alone waits minutes for a pod that cannot start."""
    step.note("+ " + " ".join(command))
    with step.log.open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        while True:
            try:
                status = process.wait(timeout=2)
                break
            except subprocess.TimeoutExpired:
                if errors := pods.cannot_start(lab, NAMESPACE):
                    raise LabError("Istio cannot start: " + "; ".join(errors)) from None
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if status != 0:
        reasons = "; ".join(pods.not_ready(lab, NAMESPACE))
        raise LabError(f"istioctl install exited with status {status}" + (f": {reasons}" if reasons else ""))


def _wait_for_validation(lab: Lab) -> None:
    """Wait until the webhook rejects an invalid object; before istiod enables it, the API server accepts any object."""
    deadline = time.monotonic() + WEBHOOK_SECONDS
    answer = ""
    while time.monotonic() < deadline:
        try:
            lab.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(INVALID_OBJECT))
        except LabError as error:
            answer = str(error)
            if "denied the request" in answer:
                return
        time.sleep(0.5)
    message = f"Istio's webhook did not reject an invalid VirtualService within {WEBHOOK_SECONDS} s. {answer}"
    raise LabError(message.rstrip())
