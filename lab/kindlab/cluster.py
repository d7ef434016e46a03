# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create, inspect and delete a cluster: the verbs up, status and down."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import socket
import sys
import typing as t

from . import (
    addons,
    cache,
    dockerd,
    host,
    images,
    kindcluster,
    kindconfig,
    mesh,
    polling,
    processes,
    programs,
    progress,
    sources,
)
from .errors import LabError
from .lab import Lab, registered

HERE = pathlib.Path(__file__).resolve().parent
# The files that determine what is installed in a cluster; see `_fingerprint`.
INSTALL_FILES = ("manifests", "kindlab/mesh.py", "kindlab/addons.py")


def up(name: str, *, bare: bool = False) -> Lab:
    """Create the cluster `name` with its mesh, or only what is missing of it; safe to repeat, also after a kill.

    bare: without a mesh; an installed mesh stays.
    """
    lab = Lab(name)
    with _locked(lab):
        source = _source_of(lab)
        progress.report(f"Cluster {name}: {source}.")
        if source.kind == sources.EXISTING:
            _use_existing(lab, source)
            return lab
        if not lab.registered:
            mode, reason = sources.images_mode(source)
            progress.report(f"Images: {mode}, because {reason}.")
            lab.update_state(name=name, source=source.kind, reason=source.reason, images_mode=mode)
        lab.claim_ports()
        if lab.source == sources.PRIVATE:
            _start_daemon()
        _start_forwarder(lab)
        if not lab.api_is_ready():
            kindcluster.create(lab, bare=bare)
        lab.update_state(bare=bare and not lab.installed)
        if not bare and lab.installed != (fingerprint := _fingerprint(lab)):
            _install(lab, fingerprint)
    return lab


def down(name: str) -> None:
    """Delete the cluster and everything that belongs to it, and the private Docker daemon with its last cluster."""
    host.remove_leftover_policy()
    lab = Lab(name)
    with _locked(lab):
        if lab.source == sources.EXISTING or (not lab.registered and _existing_is_configured()):
            progress.report(f"Cluster {name} was not created by the lab: nothing is deleted in it.")
            lab.delete_state()
            return
        if not lab.registered:
            progress.report(f"Cluster {name} does not exist.")
        else:
            with progress.step(f"Delete cluster {name}", cache.root() / "logs") as step:
                if lab.source == sources.PRIVATE:
                    dockerd.start()
                kindcluster.delete(lab, step)
                processes.stop(_forwarder_mark(lab), grace=2)
                lab.delete_state()
        _stop_unused_daemon()


def status(lab: Lab) -> dict[str, t.Any]:
    """Return the facts about the cluster that `status --json` prints."""
    created = lab.registered and lab.source != sources.EXISTING
    built = created and lab.images_mode == "build"
    return {
        "name": lab.name,
        "source": lab.source or None,
        "reason": lab.reason or None,
        "kubeconfig": str(lab.kubeconfig) if lab.kubeconfig.exists() else None,
        "ingress_url": lab.ingress_url or None,
        "prometheus_url": lab.prometheus_url or None,
        "images": {"bookinfo": images.BOOKINFO} if built else {},
        "images_mode": lab.images_mode if lab.registered else None,
        "audit_log": audit_command(lab) if created else None,
        "node_command": node_command(lab) if created else None,
        "ready": is_ready(lab),
    }


def is_ready(lab: Lab) -> bool:
    """Return whether the installation is complete and the API server is ready."""
    return (bool(lab.installed) or lab.bare) and lab.api_is_ready()


def audit_command(lab: Lab) -> list[str]:
    """Return the command that prints the API server's audit log, one JSON object per line."""
    return [*node_command(lab), "cat", kindconfig.AUDIT_LOG]


def node_command(lab: Lab) -> list[str]:
    """Return what to put before a command to run it in the node."""
    return [*lab.docker, "exec", lab.node]


@contextlib.contextmanager
def _locked(lab: Lab) -> t.Iterator[None]:
    """Hold the lock of the cluster for one `up` or `down`, with the current state."""
    with cache.locked(lab.folder.with_name(f"{lab.name}.lock")):
        # A program that a killed `up` started, such as kind, may still be running.
        processes.claim(f"{dockerd.instance()}/work/{lab.name}")
        lab.reload()
        yield


def _existing_is_configured() -> bool:
    return bool(os.environ.get("CANARY_LAB_KUBECONFIG") or os.environ.get("CANARY_LAB_CONTEXT"))


def _source_of(lab: Lab) -> sources.Source:
    """Return the recorded source of a registered cluster, else choose one."""
    if lab.registered and not _existing_is_configured() and lab.source != sources.EXISTING:
        return sources.Source(lab.source, lab.reason)
    if lab.registered and _existing_is_configured() and lab.source != sources.EXISTING:
        raise LabError(
            f"Cluster {lab.name} was created by the lab, but the environment selects an existing cluster.",
            f"Run lab/cluster down {lab.name} first, or unset CANARY_LAB_KUBECONFIG and CANARY_LAB_CONTEXT.",
        )
    return sources.choose()


def _use_existing(lab: Lab, source: sources.Source) -> None:
    """Register the existing cluster; the lab creates only a kubeconfig with its context."""
    kubectl = shutil.which("kubectl") or str(programs.program("kubectl"))
    argv = [kubectl, "config", "view", "--minify", "--flatten"]
    if kubeconfig := os.environ.get("CANARY_LAB_KUBECONFIG"):
        argv.append(f"--kubeconfig={kubeconfig}")
    if context := os.environ.get("CANARY_LAB_CONTEXT"):
        argv.append(f"--context={context}")
    lab.update_state(name=lab.name, source=source.kind, reason=source.reason, images_mode="pull", ports={})
    try:
        with progress.step("Read the kubeconfig of the existing cluster", cache.root() / "logs") as step:
            lab.kubeconfig.touch(mode=0o600)
            lab.kubeconfig.write_text(step.run(argv))
            if not lab.api_is_ready():
                raise LabError("The API server of the cluster is not ready")
    except LabError:
        lab.delete_state()
        raise
    lab.update_state(installed="by its owner")
    progress.report("The lab creates and deletes nothing in it; its owner installs Istio, the gateway and Prometheus.")


def _install(lab: Lab, fingerprint: str) -> None:
    """Install mesh and addons in parallel: both mostly wait for pods."""
    lab.update_state(installed="")
    if lab.images_mode == "build":
        with progress.step("Load the images into the node", lab.logs):
            kindcluster.load_images(lab)
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        installing_addons = executor.submit(addons.install, lab)
        mesh.install(lab)
        installing_addons.result()
    lab.update_state(installed=fingerprint)


def _fingerprint(lab: Lab) -> str:
    """Return the hash of everything the installation depends on; `up` installs again when it has changed."""
    paths = [path for part in INSTALL_FILES for path in sorted([HERE.parent / part, *(HERE.parent / part).rglob("*")])]
    # Python writes bytecode beside targets.py when a test imports it.
    files = [path for path in paths if path.is_file() and path.parent.name != "__pycache__"]
    built = [str(images.infrastructure()), str(images.application())] if lab.images_mode == "build" else []
    return cache.digest([*files, *built])


def _forwarder_mark(lab: Lab) -> str:
    return f"{dockerd.instance()}/forwarder/{lab.name}"


def _start_daemon() -> None:
    """Start the private daemon if it is not running.

    Forwarders that outlived it are in the network namespace that the start replaces, where nothing listens: stop them.
    """
    if not dockerd.is_running():
        for lab in registered():
            if lab.source == sources.PRIVATE:
                processes.stop(_forwarder_mark(lab), grace=2)
    dockerd.start()


def _start_forwarder(lab: Lab) -> None:
    """Forward the loopback ports into the network namespace of the private daemon, if this cluster uses it."""
    if lab.source != sources.PRIVATE or processes.find(_forwarder_mark(lab)):
        return
    argv = ["env", f"PYTHONPATH={HERE.parent}", sys.executable, "-B", "-m", "kindlab.forwarder", dockerd.instance()]
    log = lab.logs / "forwarder.log"
    running = processes.start(_forwarder_mark(lab), [*argv, *lab.ports.values()], log)

    def listens() -> bool:
        return all(_is_listening(port) for port in lab.ports.values())

    polling.wait_until(lambda: running.poll() is not None or listens(), 10, interval=0.05)
    if not listens():
        raise LabError(
            f"The forwarder for the ports {sorted(lab.ports.values())} did not start: {log.read_text().strip()[-300:]}",
            f"If another program uses a port: lab/cluster down {lab.name}, then up, which chooses free ports.",
        )


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _stop_unused_daemon() -> None:
    """Stop the private Docker daemon if no cluster uses it."""
    used = any(lab.source == sources.PRIVATE for lab in registered())
    if not used and dockerd.has_leftovers():
        with progress.step("Stop the private Docker daemon", cache.root() / "logs"):
            dockerd.stop()
