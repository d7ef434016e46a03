# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this machine offers, and what has to be installed on it."""

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

# Debian package -> a program that proves it is there.
DOCKER = {"docker.io": "dockerd", "containerd": "containerd", "runc": "runc", "iptables": "iptables", "iproute2": "ip"}
IMAGES = {"mmdebstrap": "mmdebstrap", "containerd": "containerd"}

# dpkg asks this program whether a package may start its service; 101 says no. Known by its text, for one that a killed
# process left would keep every service of the machine from starting.
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")
NO_SERVICES = "#!/bin/sh\n# Laid by lab/cluster while it installs packages.\nexit 101\n"


def is_root_on_linux() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


def docker_problem(seconds: float = 10) -> str:
    """Why `docker info` does not work here, in a few words; empty when it works."""
    if shutil.which("docker") is None:
        return "there is no program docker"
    try:
        said = subprocess.run(
            ["docker", "info", "--format", "{{json .}}"], capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"docker info did not answer within {seconds:g} s"
    try:
        facts = json.loads(said.stdout)
    except ValueError:
        facts = {}
    # The client exits with 0 and prints its own half even when no daemon answers.
    if said.returncode == 0 and facts.get("ServerVersion"):
        return ""
    trouble = "; ".join(facts.get("ServerErrors") or []) or said.stderr.strip() or "no daemon answers"
    return trouble.splitlines()[0].partition(". ")[0].rstrip(".")


def lacks_sys_resource(status: str | None = None) -> bool:
    """Whether this process cannot hand CAP_SYS_RESOURCE to a container, as in some sandboxes.

    status: text of /proc/self/status, read if not given.
    """
    own = pathlib.Path("/proc/self/status")
    text = status if status is not None else own.read_text() if own.exists() else ""
    found = re.search(r"^CapBnd:\s*([0-9a-f]+)", text, re.MULTILINE)
    return found is not None and not int(found.group(1), 16) >> CAP_SYS_RESOURCE & 1


def require(packages: dict[str, str], reason: str) -> None:
    """Have these Debian packages: install what is missing as root on Debian (and say so), else name it and stop."""
    missing = [package for package, command in packages.items() if shutil.which(command, path=_search_path()) is None]
    if missing:
        install(missing, reason)


def install(packages: Iterable[str], reason: str) -> None:
    """Install Debian packages without starting any service of theirs."""
    names = " ".join(packages)
    if not is_root_on_linux() or shutil.which("apt-get") is None:
        raise LabError(f"{reason} needs these Debian packages: {names}", "Install them and run the same again.")
    progress.say(f"Installing from Debian, because {reason} needs it: {names}")
    with _without_services():
        for words in ("update -q", f"install -q -y --no-install-recommends {names}"):
            argv = ["apt-get", *words.split()]
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
            if done.returncode != 0:
                raise LabError(f"{' '.join(argv)} failed: {(done.stderr or done.stdout).strip()[-600:]}")


@contextlib.contextmanager
def _without_services() -> Iterator[None]:
    """Keep packages from starting their services, unless the machine has a policy of its own."""
    remove_left_policy()
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text(NO_SERVICES)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()


def remove_left_policy() -> None:
    """Remove the policy that a killed process has left, if there is one."""
    if is_root_on_linux() and POLICY.exists() and POLICY.read_text(errors="replace") == NO_SERVICES:
        POLICY.unlink()


def _search_path() -> str:
    """The PATH with the administrator's folders, which a user's shell may leave out."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
