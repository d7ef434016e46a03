# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring a cluster up, say how it is, take it down."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import socket
import sys
import time
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
    processes,
    programs,
    progress,
    sources,
)
from .errors import LabError
from .lab import Lab, known

HERE = pathlib.Path(__file__).resolve().parent
# What decides how the inside of a cluster looks; see `_fingerprint`.
RECIPES = ("manifests", "kindlab/mesh.py", "kindlab/addons.py")


def up(name: str, *, bare: bool = False) -> Lab:
    """Have the cluster `name` running with its mesh. What is there already is left alone; safe to repeat after a kill.

    bare: Kubernetes is enough; a mesh that is there stays.
    """
    lab = Lab(name)
    with _alone(lab):
        source = _source_of(lab)
        progress.say(f"Cluster {name}: {source}.")
        if source.kind == sources.EXISTING:
            _adopt(lab, source)
            return lab
        if not lab.known:
            mode, reason = sources.images_mode(source)
            progress.say(f"Images: {mode}, because {reason}.")
            lab.remember(name=name, source=source.kind, reason=source.reason, images_mode=mode)
        lab.claim_ports()
        if lab.source == sources.PRIVATE:
            dockerd.start()
        _forward(lab)
        if not lab.answers():
            kindcluster.create(lab, bare=bare)
        lab.remember(bare=bare and not lab.installed)
        if not bare and lab.installed != _fingerprint(lab):
            _install(lab)
    return lab


def down(name: str) -> None:
    """Take the cluster away with all that belongs to it; with the last cluster goes the private Docker daemon."""
    host.remove_left_policy()
    lab = Lab(name)
    with _alone(lab):
        if lab.source == sources.EXISTING or (not lab.known and _names_existing()):
            progress.say(f"Cluster {name} is not ours: nothing is deleted in it.")
            lab.forget()
            return
        if not lab.known:
            progress.say(f"Cluster {name} is not there.")
        else:
            with progress.step(f"Delete cluster {name}", cache.root() / "logs") as step:
                if lab.source == sources.PRIVATE:
                    dockerd.start()
                kindcluster.delete(lab, step)
                processes.stop(_forwarder_mark(lab), patience=2)
                lab.forget()
        _leave_nothing()


def status(lab: Lab) -> dict[str, t.Any]:
    """What there is to know about the cluster, for programs."""
    ours = lab.known and lab.source != sources.EXISTING
    built = ours and lab.images_mode == "build"
    return {
        "name": lab.name,
        "source": lab.source or None,
        "reason": lab.reason or None,
        "kubeconfig": str(lab.kubeconfig) if lab.kubeconfig.exists() else None,
        "ingress_url": lab.ingress_url or None,
        "prometheus_url": lab.prometheus_url or None,
        "images": {"bookinfo": images.BOOKINFO} if built else {},
        "images_mode": lab.images_mode if lab.known else None,
        "audit_log": audit_command(lab) if ours else None,
        "node_command": node_command(lab) if ours else None,
        "ready": is_ready(lab),
    }


def is_ready(lab: Lab) -> bool:
    """Whether everything asked for was installed and the API server answers now."""
    return (bool(lab.installed) or lab.bare) and lab.answers()


def audit_command(lab: Lab) -> list[str]:
    """The command that prints the API server's audit log, one JSON object a line."""
    return [*node_command(lab), "cat", kindconfig.AUDIT_LOG]


def node_command(lab: Lab) -> list[str]:
    """What to put before a command to run it in the node, beside kubelet and the API server."""
    return [*lab.docker, "exec", lab.node]


@contextlib.contextmanager
def _alone(lab: Lab) -> t.Iterator[None]:
    """One `up` or `down` of a cluster at a time; the state may have changed while we waited."""
    with cache.locked(lab.folder.with_name(f"{lab.name}.lock")):
        # What a killed one had started, say kind, must not go on beside us.
        processes.take_over(f"{dockerd.instance()}/work/{lab.name}")
        lab.reload()
        yield


def _names_existing() -> bool:
    return bool(os.environ.get("CANARY_LAB_KUBECONFIG") or os.environ.get("CANARY_LAB_CONTEXT"))


def _source_of(lab: Lab) -> sources.Source:
    """A cluster stays where it was begun, unless the user now names another."""
    if lab.known and not _names_existing() and lab.source != sources.EXISTING:
        return sources.Source(lab.source, lab.reason)
    if lab.known and _names_existing() and lab.source != sources.EXISTING:
        raise LabError(
            f"Cluster {lab.name} is one of ours, and an existing cluster is named too.",
            f"Run lab/cluster down {lab.name} first, or unset CANARY_LAB_KUBECONFIG and CANARY_LAB_CONTEXT.",
        )
    return sources.find()


def _adopt(lab: Lab, source: sources.Source) -> None:
    """Use the named cluster: a kubeconfig with its context alone is ours, nothing else is made."""
    kubectl = shutil.which("kubectl") or str(programs.program("kubectl"))
    argv = [kubectl, "config", "view", "--minify", "--flatten"]
    if named := os.environ.get("CANARY_LAB_KUBECONFIG"):
        argv.append(f"--kubeconfig={named}")
    if context := os.environ.get("CANARY_LAB_CONTEXT"):
        argv.append(f"--context={context}")
    lab.remember(name=lab.name, source=source.kind, reason=source.reason, images_mode="pull", ports={})
    try:
        with progress.step("Read the named cluster's kubeconfig", cache.root() / "logs") as step:
            lab.kubeconfig.touch(mode=0o600)
            lab.kubeconfig.write_text(step.run(argv))
            if not lab.answers():
                raise LabError("its API server does not say that it is ready")
    except LabError:
        lab.forget()
        raise
    lab.remember(installed="by its owner")
    progress.say("Nothing is created in it and nothing will be deleted: Istio and the rest are its owner's matter.")


def _install(lab: Lab) -> None:
    """Mesh and addons side by side: both mostly wait for pods."""
    wanted = _fingerprint(lab)
    lab.remember(installed="")
    if lab.images_mode == "build":
        with progress.step("Bring the images into the node", lab.logs):
            kindcluster.load_images(lab)
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        other = beside.submit(addons.install, lab)
        mesh.install(lab)
        other.result()
    lab.remember(installed=wanted)


def _fingerprint(lab: Lab) -> str:
    """What the installed inside was made from; another fingerprint means that `up` has something to do."""
    found = [path for part in RECIPES for path in sorted([HERE.parent / part, *(HERE.parent / part).rglob("*")])]
    files = [path for path in found if path.is_file()]
    built = [str(images.infrastructure()), str(images.application())] if lab.images_mode == "build" else []
    return cache.digest([*files, *built])


def _forwarder_mark(lab: Lab) -> str:
    return f"{dockerd.instance()}/forwarder/{lab.name}"


def _forward(lab: Lab) -> None:
    """Where the daemon has a namespace of its own: carry the loopback's ports into it."""
    if lab.source != sources.PRIVATE or processes.find(_forwarder_mark(lab)):
        return
    argv = ["env", f"PYTHONPATH={HERE.parent}", sys.executable, "-B", "-m", "kindlab.forwarder", dockerd.instance()]
    log = lab.logs / "forwarder.log"
    running = processes.start(_forwarder_mark(lab), [*argv, *lab.ports.values()], log)
    until = time.monotonic() + 10
    while not all(_is_listening(port) for port in lab.ports.values()):
        if running.poll() is not None or time.monotonic() > until:
            raise LabError(
                f"The forwarder for {sorted(lab.ports.values())} did not start: {log.read_text().strip()[-300:]}",
                f"If another program has a port: lab/cluster down {lab.name}, then up, which chooses free ones.",
            )
        time.sleep(0.05)


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _leave_nothing() -> None:
    """End the private daemon when no cluster needs it any more."""
    needed = any(lab.source == sources.PRIVATE for lab in known())
    if not needed and dockerd.has_left_something():
        with progress.step("End the private Docker daemon", cache.root() / "logs"):
            dockerd.stop()
