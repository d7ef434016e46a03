# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Choose where a cluster and its images come from; each choice has a reason for the user."""

from __future__ import annotations

import dataclasses
import os
import subprocess

from . import host
from .errors import LabError

EXISTING, DOCKER, PRIVATE = "existing", "docker", "private"
# The default node image of kind v0.33.0, used to check whether a registry answers.
PULLED_NODE = "kindest/node:v1.37.0"
PROBE_SECONDS = 8


@dataclasses.dataclass(frozen=True)
class Source:
    """kind: EXISTING, DOCKER or PRIVATE. reason: why, as a subordinate clause."""

    kind: str
    reason: str

    def __str__(self) -> str:
        descriptions = {
            EXISTING: "the existing cluster",
            DOCKER: "kind on the running Docker daemon",
            PRIVATE: "kind on a private Docker daemon in its own network namespace",
        }
        return f"{descriptions[self.kind]}, because {self.reason}"


def choose() -> Source:
    """Return the first possible source: a cluster that the user configured, the running Docker, a private Docker.

    Raises LabError if none is possible.
    """
    kubeconfig, context = os.environ.get("CANARY_LAB_KUBECONFIG"), os.environ.get("CANARY_LAB_CONTEXT")
    if kubeconfig or context:
        settings = [f"CANARY_LAB_KUBECONFIG={kubeconfig}"] if kubeconfig else []
        settings += [f"CANARY_LAB_CONTEXT={context}"] if context else []
        verb = "select" if len(settings) > 1 else "selects"
        return Source(EXISTING, f"{' and '.join(settings)} {verb} it")
    problem = host.docker_problem()
    if not problem:
        return Source(DOCKER, "docker info works")
    if host.is_root_on_linux():
        return Source(PRIVATE, f"docker info failed ({problem}) and the user is root on Linux")
    raise LabError(
        f"docker info failed ({problem}), and a private Docker daemon needs root on Linux.",
        "Start Docker, or run as root, or set CANARY_LAB_KUBECONFIG (and CANARY_LAB_CONTEXT) to use a cluster.",
    )


def images_mode(source: Source) -> tuple[str, str]:
    """Return whether images are pulled or built, and why: ("pull" or "build", reason).

    $IMAGES decides if it is set; otherwise images are pulled if a registry answers within PROBE_SECONDS.
    """
    configured = os.environ.get("IMAGES", "")
    if configured not in ("", "pull", "build"):
        raise LabError(f"IMAGES={configured} is neither pull nor build.", "Set one of the two, or unset IMAGES.")
    if source.kind == PRIVATE:
        if configured == "pull":
            raise LabError(
                "IMAGES=pull needs a Docker daemon with access to a registry; the private daemon has none.",
                "Start Docker, or unset IMAGES.",
            )
        return "build", "the private Docker daemon has no access to a registry"
    if configured == "build":
        return "build", "IMAGES=build is set"
    problem = _node_image_problem()
    if configured == "pull":
        if problem:
            raise LabError(
                f"IMAGES=pull is not possible: {problem}.",
                "Set CANARY_LAB_NODE_IMAGE to a node image of Kubernetes 1.34 or earlier, or unset IMAGES.",
            )
        return "pull", "IMAGES=pull is set"
    if problem:
        return "build", problem
    if _registry_answers():
        return "pull", "a registry answers"
    return "build", f"no registry answered within {PROBE_SECONDS} s"


def chosen_node_image() -> str:
    """Return the node image that the user wants to be pulled; empty for kind's default one."""
    return os.environ.get("CANARY_LAB_NODE_IMAGE", "")


def _node_image_problem() -> str:
    """Return why kind's default node image cannot start on this Docker daemon; empty if it can, or for another image.

    Otherwise kind would wait minutes for a kubelet that has ended.
    """
    if chosen_node_image() or host.control_groups_version() != "1":
        return ""
    return f"the Docker daemon has control groups version 1, and {PULLED_NODE} needs version 2"


def _registry_answers() -> bool:
    try:
        inspected = subprocess.run(
            ["docker", "manifest", "inspect", chosen_node_image() or PULLED_NODE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return inspected.returncode == 0
