# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check what this machine provides, and install the missing Debian packages."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import typing as t

from . import progress
from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CAP_SYS_RESOURCE = 24

# Debian package -> a program of it; the package counts as installed if the program exists.
DOCKER = {"docker.io": "dockerd", "containerd": "containerd", "runc": "runc", "iptables": "iptables", "iproute2": "ip"}
IMAGES = {"mmdebstrap": "mmdebstrap", "containerd": "containerd"}

# Maintainer scripts run this program before they start a service; exit status 101 means no. The file is recognized by
# its text, because a copy that a killed process left would keep every service of the machine from starting.
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")
NO_SERVICES = "#!/bin/sh\n# Written by lab/cluster while it installs packages.\nexit 101\n"


def is_root_on_linux() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


def docker_problem(seconds: float = 10) -> str:
    """Return why `docker info` fails here, in a few words; an empty string if it works."""
    if shutil.which("docker") is None:
        return "the program docker was not found"
    try:
        completed = subprocess.run(
            ["docker", "info", "--format", "{{json .}}"], capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"docker info did not answer within {seconds:g} s"
    try:
        facts = json.loads(completed.stdout)
    except ValueError:
        facts = {}
    # Without a daemon, the client still exits with 0 and prints the client part.
    if completed.returncode == 0 and facts.get("ServerVersion"):
        return ""
    problem = "; ".join(facts.get("ServerErrors") or []) or completed.stderr.strip() or "no daemon answers"
    return problem.splitlines()[0].partition(". ")[0].rstrip(".")


def control_groups_version() -> str:
    """Return the version of the control groups that the running Docker daemon uses, "1" or "2"; empty if unknown."""
    command = ["docker", "info", "--format", "{{.CgroupVersion}}"]
    try:
        completed = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return completed.stdout.strip()


def lacks_sys_resource(status: str | None = None) -> bool:
    """Return whether this process cannot pass CAP_SYS_RESOURCE to a container, as in some sandboxes.

    status: the text of /proc/self/status; None reads the file.
    """
    file = pathlib.Path("/proc/self/status")
    if status is None:
        status = file.read_text() if file.exists() else ""
    bounding = re.search(r"^CapBnd:\s*([0-9a-f]+)", status, re.MULTILINE)
    return bounding is not None and not int(bounding.group(1), 16) >> CAP_SYS_RESOURCE & 1


def require(packages: dict[str, str], reason: str) -> None:
    """Install those of these Debian packages that are missing, and report it.

    packages: name -> a program of it. reason: what needs them. Raises LabError with the names of the missing packages
    if the user is not root or this is not Debian.
    """
    missing = [package for package, command in packages.items() if shutil.which(command, path=_search_path()) is None]
    if missing:
        _install(missing, reason)


def _install(packages: Iterable[str], reason: str) -> None:
    """Install Debian packages without starting their services."""
    names = " ".join(packages)
    if not is_root_on_linux() or shutil.which("apt-get") is None:
        raise LabError(f"{reason} needs these Debian packages: {names}", "Install them and run the same command again.")
    progress.report(f"Installing from Debian, because {reason} needs it: {names}")
    with _services_disabled():
        for arguments in ("update -q", f"install -q -y --no-install-recommends {names}"):
            argv = ["apt-get", *arguments.split()]
            completed = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
            if completed.returncode != 0:
                raise LabError(f"{' '.join(argv)} failed: {(completed.stderr or completed.stdout).strip()[-600:]}")


@contextlib.contextmanager
def _services_disabled() -> Iterator[None]:
    """Keep packages from starting their services, unless the machine already has a policy."""
    remove_leftover_policy()
    has_no_policy = not POLICY.exists()
    if has_no_policy:
        POLICY.write_text(NO_SERVICES)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if has_no_policy:
            POLICY.unlink()


def remove_leftover_policy() -> None:
    """Remove the policy file that a killed process left, if there is one."""
    if is_root_on_linux() and POLICY.exists() and POLICY.read_text(errors="replace") == NO_SERVICES:
        POLICY.unlink()


def _search_path() -> str:
    """Return the PATH with the sbin directories, which the shell of a user may not have."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
