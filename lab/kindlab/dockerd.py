# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A private Docker daemon for machines without one, with its own data, sockets and network namespace."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from . import cache, containerd, host, netns, polling, processes, progress
from .errors import LabError

RUNC_WRAPPER = pathlib.Path(__file__).resolve().parent / "files" / "runc-without-sys-resource"
CONTROL_GROUPS = pathlib.Path("/sys/fs/cgroup")
CPU_WEIGHT = 20  # of all pods together; the default weight of a process is 1


def instance() -> str:
    """Return the name of the daemon's namespace and directories; instances share nothing but the cache."""
    return os.environ.get("CANARY_LAB_INSTANCE") or "meshops-canary-lab"


def _run_folder() -> pathlib.Path:
    """Return the directory of the sockets; it is not in the cache, because their paths are limited to 107 bytes."""
    return pathlib.Path("/run") / instance()


def _data_folder() -> pathlib.Path:
    return cache.root() / "docker" / instance()


def command() -> list[str]:
    """Return the Docker command for this daemon; its socket is a file, so this works outside of the namespace."""
    return ["docker", "--host", address()]


def address() -> str:
    return f"unix://{_run_folder()}/docker.sock"


def is_running() -> bool:
    return bool(processes.find(_mark("dockerd"))) and _responds()


def start() -> None:
    """Start the daemon if it is not running; remove the leftovers of an incomplete start first."""
    with cache.locked(cache.root() / "state" / f"{instance()}.dockerd.lock"):
        if is_running():
            return
        host.require(host.DOCKER, "a private Docker daemon")
        # A separate package in Debian releases after bookworm.
        host.require({"docker-cli": "docker"}, "the client of a private Docker daemon")
        if host.lacks_sys_resource():
            host.require({"jq": "jq"}, "running containers without CAP_SYS_RESOURCE")
        with progress.step("Start a private Docker daemon", cache.root() / "logs") as step:
            _remove_everything()
            netns.create(instance())
            _run_folder().mkdir(parents=True, exist_ok=True)
            _data_folder().mkdir(parents=True, exist_ok=True)
            _write_settings()
            prefix = netns.command_prefix(instance())
            settings = _run_folder()
            for name, socket in (("containerd", "containerd.sock"), ("dockerd", "docker.sock")):
                option = "--config-file" if name == "dockerd" else "--config"
                processes.start(_mark(name), [*prefix, name, option, settings / f"{name}.conf"], step.log)
                _wait_for(settings / socket, name)
            if not polling.wait_until(_responds, 20):
                raise LabError("dockerd did not answer within 20 s")
            _set_cpu_weight()


def _set_cpu_weight() -> None:
    """Set the weight of the lab's control group to CPU_WEIGHT.

    Otherwise all pods together would get as much CPU time as one process, and miss their probes on a busy machine.
    """
    settings = {"cpu.shares": 1024 * CPU_WEIGHT, "cpu.weight": 100 * CPU_WEIGHT}  # control groups version 1 and 2
    for hierarchy in (CONTROL_GROUPS, *CONTROL_GROUPS.glob("cpu*")):
        if (hierarchy / "cgroup.procs").exists():
            (hierarchy / instance()).mkdir(exist_ok=True)
        for name, value in settings.items():
            if (hierarchy / instance() / name).exists():
                (hierarchy / instance() / name).write_text(str(value))


def stop() -> None:
    """Stop the daemon and remove everything that it mounted or created, except the images in its data directory."""
    with cache.locked(cache.root() / "state" / f"{instance()}.dockerd.lock"):
        _remove_everything()


def has_leftovers() -> bool:
    """Return whether anything of the daemon exists, running or not."""
    return netns.path(instance()).exists() or _run_folder().exists() or bool(processes.find(_mark("dockerd")))


def _mark(name: str) -> str:
    return f"{instance()}/{name}"


def _responds() -> bool:
    version = subprocess.run([*command(), "version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return version.returncode == 0


def _wait_for(socket: pathlib.Path, name: str) -> None:
    began = time.monotonic()
    while not socket.exists():
        waited = time.monotonic() - began
        # The mark is in the environment only after exec, which takes a moment.
        if waited > 20 or (waited > 3 and not processes.find(_mark(name))):
            raise LabError(f"{name} did not start")
        time.sleep(0.05)


def _write_settings() -> None:
    run, data = _run_folder(), _data_folder()
    docker = {
        "data-root": str(data / "docker"),
        "exec-root": str(run / "docker"),
        "pidfile": str(run / "docker.pid"),
        "hosts": [address()],
        "group": "root",
        "containerd": str(run / "containerd.sock"),
        "cgroup-parent": f"/{instance()}",
        "oom-score-adjust": 0,
        "log-level": "warn",
        "shutdown-timeout": 5,
    }
    if host.lacks_sys_resource():
        docker["runtimes"] = {"lab": {"path": str(RUNC_WRAPPER)}}
        docker["default-runtime"] = "lab"
    (run / "dockerd.conf").write_text(json.dumps(docker, indent=2))
    configuration = containerd.settings(data / "containerd", run / "containerd", run / "containerd.sock")
    (run / "containerd.conf").write_text(configuration)


def _remove_everything() -> None:
    """Stop and remove everything, also what a killed start or stop left."""
    processes.stop(_mark("dockerd"), grace=15)
    _kill_containers()
    processes.stop(_mark("containerd"), grace=5)
    for mounted in _mounts_below(_run_folder(), _data_folder()):
        subprocess.run(["umount", "--lazy", mounted], capture_output=True, check=False)
    _remove_control_groups()
    netns.delete(instance())
    shutil.rmtree(_run_folder(), ignore_errors=True)
    # Shims keep their sockets here regardless of the settings of containerd; a directory in use is not empty.
    for folder in (pathlib.Path("/run/containerd/s"), pathlib.Path("/run/containerd"), netns.FOLDER):
        try:
            folder.rmdir()
        except OSError:
            continue


def _control_groups() -> list[pathlib.Path]:
    """Return the directories of the lab's control groups, of both versions, innermost first."""
    tops = [CONTROL_GROUPS / instance(), *(CONTROL_GROUPS.glob(f"*/{instance()}"))]
    return [pathlib.Path(folder) for top in tops for folder, _folders, _files in os.walk(top, topdown=False)]


def _kill_containers() -> None:
    """Kill the processes in the lab's control groups: containers outlive a killed daemon."""

    def none_is_left() -> bool:
        pids = {int(pid) for group in _control_groups() for pid in _pids_of(group)}
        processes.send_signal(pids, signal.SIGKILL)
        return not pids

    polling.wait_until(none_is_left, 5)


def _pids_of(group: pathlib.Path) -> list[str]:
    try:
        return (group / "cgroup.procs").read_text().split()
    except OSError:
        return []


def _remove_control_groups() -> None:
    for group in _control_groups():
        try:
            group.rmdir()
        except OSError:
            continue


def _mounts_below(*folders: pathlib.Path) -> list[str]:
    lines = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    mounted = [line.split()[1].encode().decode("unicode_escape") for line in lines]
    return [path for path in reversed(mounted) if any(path.startswith(f"{folder}/") for folder in folders)]
