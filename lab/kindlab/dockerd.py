# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A private Docker daemon for machines where none runs: own data, own sockets, own network namespace."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from . import cache, host, netns, processes, progress
from .errors import LabError

RUNC_WRAPPER = pathlib.Path(__file__).resolve().parent / "files" / "runc-without-sys-resource"
CONTROL_GROUPS = pathlib.Path("/sys/fs/cgroup")
PROCESSES = 20


def instance() -> str:
    """Name of the daemon's namespace and folders; another $CANARY_LAB_INSTANCE has nothing in common but the caches."""
    return os.environ.get("CANARY_LAB_INSTANCE") or "meshops-canary-lab"


def _run_folder() -> pathlib.Path:
    """Sockets are here and not in the cache: their paths may be about 100 bytes long."""
    return pathlib.Path("/run") / instance()


def _data_folder() -> pathlib.Path:
    return cache.root() / "docker" / instance()


def command() -> list[str]:
    """How to talk to the daemon; the socket is a file, so this works from outside the namespace."""
    return ["docker", "--host", address()]


def address() -> str:
    return f"unix://{_run_folder()}/docker.sock"


def is_running() -> bool:
    return bool(processes.find(_mark("dockerd"))) and _answers()


def start() -> None:
    """Have the daemon running; one that is half there is cleared away first."""
    with cache.locked(cache.root() / "state" / f"{instance()}.dockerd.lock"):
        if is_running():
            return
        host.require(host.DOCKER, "a private Docker daemon")
        # In later releases than bookworm a package of its own.
        host.require({"docker-cli": "docker"}, "talking to a private Docker daemon")
        if host.lacks_sys_resource():
            host.require({"jq": "jq"}, "running containers without CAP_SYS_RESOURCE")
        with progress.step("Start a private Docker daemon", cache.root() / "logs") as step:
            _clear()
            netns.create(instance())
            _run_folder().mkdir(parents=True, exist_ok=True)
            _data_folder().mkdir(parents=True, exist_ok=True)
            _write_settings()
            inside = netns.inside(instance())
            settings = _run_folder()
            for name, socket in (("containerd", "containerd.sock"), ("dockerd", "docker.sock")):
                option = "--config-file" if name == "dockerd" else "--config"
                processes.start(_mark(name), [*inside, name, option, settings / f"{name}.conf"], step.log)
                _wait_for(settings / socket, name)
            until = time.monotonic() + 20
            while not _answers():
                if time.monotonic() > until:
                    raise LabError("dockerd did not answer within 20 s")
                time.sleep(0.1)
            _claim_processor_time()


def _claim_processor_time() -> None:
    """Give our control group the weight of PROCESSES.

    Else all pods together would weigh as much as one process of the machine, and miss their probes when it is busy.
    """
    settings = {"cpu.shares": 1024 * PROCESSES, "cpu.weight": 100 * PROCESSES}  # control groups version 1 and 2
    for hierarchy in (CONTROL_GROUPS, *CONTROL_GROUPS.glob("cpu*")):
        if (hierarchy / "cgroup.procs").exists():
            (hierarchy / instance()).mkdir(exist_ok=True)
        for name, value in settings.items():
            if (hierarchy / instance() / name).exists():
                (hierarchy / instance() / name).write_text(str(value))


def stop() -> None:
    """End the daemon and take away whatever it has mounted, made or left; images stay in its data folder."""
    with cache.locked(cache.root() / "state" / f"{instance()}.dockerd.lock"):
        _clear()


def has_left_something() -> bool:
    """Whether anything of the daemon is there, in whatever state."""
    return netns.path(instance()).exists() or _run_folder().exists() or bool(processes.find(_mark("dockerd")))


def _mark(name: str) -> str:
    return f"{instance()}/{name}"


def _answers() -> bool:
    asked = subprocess.run([*command(), "version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return asked.returncode == 0


def _wait_for(socket: pathlib.Path, name: str) -> None:
    began = time.monotonic()
    while not socket.exists():
        waited = time.monotonic() - began
        # A process is found by its mark only once it has become the daemon, which takes a moment.
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
    (run / "containerd.conf").write_text(
        f'version = 2\nroot = "{data}/containerd"\nstate = "{run}/containerd"\noom_score = 0\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
        f'[grpc]\naddress = "{run}/containerd.sock"\n[ttrpc]\naddress = "{run}/containerd.sock.ttrpc"\n'
    )


def _clear() -> None:
    """Undo everything, in whatever state a kill may have left it."""
    processes.stop(_mark("dockerd"), patience=15)
    _end_containers()
    processes.stop(_mark("containerd"), patience=5)
    for mounted in _mounts_below(_run_folder(), _data_folder()):
        subprocess.run(["umount", "--lazy", mounted], capture_output=True, check=False)
    _remove_control_groups()
    netns.delete(instance())
    shutil.rmtree(_run_folder(), ignore_errors=True)
    # Shims keep their sockets here whatever containerd's settings say; a folder in use is not empty.
    for folder in (pathlib.Path("/run/containerd/s"), pathlib.Path("/run/containerd"), netns.FOLDER):
        try:
            folder.rmdir()
        except OSError:
            continue


def _control_groups() -> list[pathlib.Path]:
    """Our control groups' folders, in every hierarchy of either version, innermost first."""
    tops = [CONTROL_GROUPS / instance(), *(CONTROL_GROUPS.glob(f"*/{instance()}"))]
    return [pathlib.Path(folder) for top in tops for folder, _folders, _files in os.walk(top, topdown=False)]


def _end_containers() -> None:
    """Kill what still runs in our control groups: containers outlive a killed daemon."""
    until = time.monotonic() + 5
    while pids := {int(pid) for group in _control_groups() for pid in _pids_of(group)}:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > until:
            break
        time.sleep(0.1)


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
