# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a cluster comes from, and where its images come from; each answer with its reason."""

from __future__ import annotations

import dataclasses
import os
import subprocess

from . import host
from .errors import LabError

EXISTING, DOCKER, PRIVATE = "existing", "docker", "private"
# What kind v0.33.0 takes by itself; asked for by its tag alone, to see whether a registry answers.
PULLED_NODE = "kindest/node:v1.37.0"
PROBE_SECONDS = 8


@dataclasses.dataclass(frozen=True)
class Source:
    """kind: EXISTING, DOCKER or PRIVATE; reason: half a sentence."""

    kind: str
    reason: str

    def __str__(self) -> str:
        what = {
            EXISTING: "the existing cluster",
            DOCKER: "kind on the Docker that is here",
            PRIVATE: "kind on a private Docker daemon in a network namespace of its own",
        }
        return f"{what[self.kind]}, because {self.reason}"


def find() -> Source:
    """The first that is possible: the cluster the user names, the Docker that runs here, a Docker of our own."""
    kubeconfig, context = os.environ.get("CANARY_LAB_KUBECONFIG"), os.environ.get("CANARY_LAB_CONTEXT")
    if kubeconfig or context:
        named = [f"CANARY_LAB_KUBECONFIG={kubeconfig}"] if kubeconfig else []
        named += [f"CANARY_LAB_CONTEXT={context}"] if context else []
        return Source(EXISTING, f"{' and '.join(named)} names it")
    problem = host.docker_problem()
    if not problem:
        return Source(DOCKER, "docker info works")
    if host.is_root_on_linux():
        return Source(PRIVATE, f"docker info does not work ({problem}) and this is Linux as root")
    private = "a private Docker daemon needs root on Linux"
    raise LabError(
        f"There is no cluster to use: docker info does not work ({problem}), and {private}.",
        "Start Docker, or run as root, or name a cluster by CANARY_LAB_KUBECONFIG (and CANARY_LAB_CONTEXT).",
    )


def images_mode(source: Source) -> tuple[str, str]:
    """Whether images are pulled or built, and why: ("pull" or "build", reason).

    IMAGES=pull|build decides; else a registry that answers within seconds does.
    """
    forced = os.environ.get("IMAGES", "")
    if forced not in ("", "pull", "build"):
        raise LabError(f"IMAGES={forced} is neither pull nor build.", "Leave it empty to have it found out.")
    if source.kind == PRIVATE:
        if forced == "pull":
            raise LabError(
                "IMAGES=pull needs a Docker that reaches a registry; the private daemon's namespace has no way out.",
                "Start Docker, or leave IMAGES to be chosen.",
            )
        return "build", "no packet leaves the private daemon's namespace"
    if forced:
        return forced, f"IMAGES={forced} says so"
    if _registry_answers():
        return "pull", "a registry answers"
    return "build", f"no registry answered within {PROBE_SECONDS} s"


def _registry_answers() -> bool:
    try:
        asked = subprocess.run(
            ["docker", "manifest", "inspect", PULLED_NODE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0
