# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kind cluster of a lab cluster: made, filled with images, deleted."""

from __future__ import annotations

import concurrent.futures
import json
import subprocess
import typing as t

from . import cache, host, images, kindconfig, nodeimage, programs, progress, sources

if t.TYPE_CHECKING:
    from .lab import Lab


def create(lab: Lab, *, bare: bool) -> None:
    """Make the kind cluster anew; what a killed `up` may have left of it goes first."""
    lab.remember(installed="")
    _note_network(lab)
    (lab.folder / "loaded-images").unlink(missing_ok=True)
    # Without --image kind pulls the one it was released with.
    node_image = [f"--image={_node_image(lab)}"] if lab.images_mode == "build" else []
    policy = lab.folder / "audit-policy.json"
    policy.write_text(json.dumps(kindconfig.AUDIT_POLICY, indent=2))
    config = kindconfig.render(lab.ports, policy, own_pod_network=lab.images_mode == "build")
    title = "Create the Kubernetes cluster (about 20 s)"
    with progress.step(title, lab.logs, _look_at_node(lab)) as step:
        delete(lab, step)
        argv = [programs.program("kind"), "create", "cluster", f"--name={lab.kind_name}", *node_image]
        argv += [f"--kubeconfig={lab.kubeconfig}", "--config=-", "--retain"]
        with concurrent.futures.ThreadPoolExecutor(1) as beside:
            loading = beside.submit(load_images, lab) if lab.images_mode == "build" and not bare else None
            step.run(argv, input=config, env=lab.docker_environment, timeout=300)
            if loading:
                loading.result()
        _write_internal_kubeconfig(lab)
        lab.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")


def _look_at_node(lab: Lab) -> str:
    look = " ".join([*lab.docker, "exec", lab.node, "journalctl", "--no-pager", "-u", "kubelet"])
    return f"The node is kept for a look: {look}. Then lab/cluster up {lab.name} tries anew."


def _node_image(lab: Lab) -> str:
    """The name of the node image, which the daemon then has."""
    name, archive = nodeimage.node_archive(restricted=host.lacks_sys_resource())
    present = subprocess.run([*lab.docker, "image", "inspect", name], capture_output=True, check=False).returncode == 0
    if not present:
        with progress.step("Bring the node image into Docker", cache.root() / "logs") as step:
            step.run([*lab.docker, "load", "--input", archive])
            _remove_older_images(lab, name, step)
    return name


def _remove_older_images(lab: Lab, newest: str, step: progress.Step) -> None:
    """A gigabyte each; Docker refuses to remove one that a cluster uses."""
    listed = step.run([*lab.docker, "images", "--format={{.Repository}}:{{.Tag}}", newest.partition(":")[0]])
    for name in listed.split():
        if name != newest:
            step.run([*lab.docker, "image", "rm", name], check=False)


def load_images(lab: Lab) -> None:
    """Bring our images in while Kubernetes starts: the node's containerd is there long before the API server."""
    for archive in (images.infrastructure(), images.application()):
        lab.load_image_archive(archive.path)


def _write_internal_kubeconfig(lab: Lab) -> None:
    address = lab.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    outside = lab.kubeconfig.read_text()
    lab.kubeconfig_internal.touch(mode=0o600)
    lab.kubeconfig_internal.write_text(outside.replace(f"127.0.0.1:{lab.ports['api']}", f"{address}:6443"))


def delete(lab: Lab, step: progress.Step) -> None:
    """Delete the kind cluster, if there is one, also a half made one."""
    kind = programs.program("kind")
    unused = lab.folder / "kubeconfig"  # kind would edit the user's own otherwise
    step.run(
        [kind, "delete", "cluster", f"--name={lab.kind_name}", f"--kubeconfig={unused}"],
        env=lab.docker_environment,
        timeout=120,
    )
    if lab.made_network:
        # Docker refuses while another cluster, of ours or not, is in it.
        step.run(["docker", "network", "rm", "kind"], check=False)


def _note_network(lab: Lab) -> None:
    """kind makes a network named kind for all its clusters; in the user's Docker we remove it if it came with us."""
    if lab.source == sources.DOCKER and not lab.made_network:
        asked = subprocess.run(["docker", "network", "inspect", "kind"], capture_output=True, check=False)
        lab.remember(made_network=asked.returncode != 0)
