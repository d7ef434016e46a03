# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create and delete the kind cluster of a lab cluster, and load images into it."""

from __future__ import annotations

import concurrent.futures
import json
import subprocess
import typing as t

from . import cache, host, images, kindconfig, nodeimage, programs, progress, sources

if t.TYPE_CHECKING:
    from .lab import Lab


def create(lab: Lab, *, bare: bool) -> None:
    """Create the kind cluster; delete first what a killed `up` may have left of it."""
    lab.update_state(installed="")
    _record_network(lab)
    (lab.folder / "loaded-images").unlink(missing_ok=True)
    # Without --image, kind pulls its default node image.
    image = _node_image(lab) if lab.images_mode == "build" else sources.chosen_node_image()
    node_image = [f"--image={image}"] if image else []
    policy = lab.folder / "audit-policy.json"
    policy.write_text(json.dumps(kindconfig.AUDIT_POLICY, indent=2))
    config = kindconfig.render(lab.ports, policy, own_pod_network=lab.images_mode == "build")
    title = "Create the Kubernetes cluster (about 20 s)"
    with progress.step(title, lab.logs, _node_log_hint(lab)) as step:
        delete(lab, step)
        argv = [programs.program("kind"), "create", "cluster", f"--name={lab.kind_name}", *node_image]
        argv += [f"--kubeconfig={lab.kubeconfig}", "--config=-", "--retain"]
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            loading = executor.submit(load_images, lab) if lab.images_mode == "build" and not bare else None
            step.run(argv, input=config, env=lab.docker_environment, timeout=300)
            if loading:
                loading.result()
        _write_internal_kubeconfig(lab)
        lab.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")


def _node_log_hint(lab: Lab) -> str:
    command = " ".join([*lab.docker, "exec", lab.node, "journalctl", "--no-pager", "-u", "kubelet"])
    return f"The node still exists. Read its log: {command}. Then try again: lab/cluster up {lab.name}"


def _node_image(lab: Lab) -> str:
    """Return the name of the node image, after loading it into the Docker daemon if it is missing."""
    name, archive = nodeimage.node_archive(restricted=host.lacks_sys_resource())
    present = subprocess.run([*lab.docker, "image", "inspect", name], capture_output=True, check=False).returncode == 0
    if not present:
        with progress.step("Load the node image into Docker", cache.root() / "logs") as step:
            step.run([*lab.docker, "load", "--input", archive])
            _remove_older_images(lab, name, step)
    return name


def _remove_older_images(lab: Lab, newest: str, step: progress.Step) -> None:
    """Remove other node images, a gigabyte each; Docker refuses to remove one that a cluster uses."""
    listed = step.run([*lab.docker, "images", "--format={{.Repository}}:{{.Tag}}", newest.partition(":")[0]])
    for name in listed.split():
        if name != newest:
            step.run([*lab.docker, "image", "rm", name], check=False)


def load_images(lab: Lab) -> None:
    """Load the lab's images into the node; possible while Kubernetes starts, since containerd starts much earlier."""
    for archive in (images.infrastructure(), images.application()):
        lab.load_image_archive(archive.path)


def _write_internal_kubeconfig(lab: Lab) -> None:
    address = lab.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    text = lab.kubeconfig.read_text()
    lab.kubeconfig_internal.touch(mode=0o600)
    lab.kubeconfig_internal.write_text(text.replace(f"127.0.0.1:{lab.ports['api']}", f"{address}:6443"))


def delete(lab: Lab, step: progress.Step) -> None:
    """Delete the kind cluster, if there is one, also an incomplete one."""
    kind = programs.program("kind")
    # Without --kubeconfig, kind would edit the kubeconfig of the user.
    step.run(
        [kind, "delete", "cluster", f"--name={lab.kind_name}", f"--kubeconfig={lab.kubeconfig}"],
        env=lab.docker_environment,
        timeout=120,
    )
    if lab.made_network:
        # Docker refuses while another cluster uses the network.
        step.run(["docker", "network", "rm", "kind"], check=False)


def _record_network(lab: Lab) -> None:
    """Record whether kind will create its Docker network for this cluster; `delete` then removes the network."""
    if lab.source == sources.DOCKER and not lab.made_network:
        inspected = subprocess.run(["docker", "network", "inspect", "kind"], capture_output=True, check=False)
        lab.update_state(made_network=inspected.returncode != 0)
