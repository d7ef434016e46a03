# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build a kind node image from Debian, kind's own files and the Kubernetes programs of the lab."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import typing as t

from . import archive, cache, containerd, host, images, polling, programs, progress
from .archive import File, Image
from .errors import LabError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

FILES = pathlib.Path(__file__).resolve().parent / "files"
PACKAGES = [
    *("systemd", "systemd-sysv", "dbus", "containerd", "runc", "containernetworking-plugins"),
    *("iptables", "iproute2", "conntrack", "ethtool", "socat", "kmod", "procps", "jq", "curl", "ca-certificates"),
    *("hostname", "mount", "util-linux", "libseccomp2", "busybox-static"),
]
CNI_PLUGINS = ("host-local", "loopback", "ptp", "portmap")
UNITS = ("kubelet.service", "containerd.service", "undo-mount-hacks.service")
CONTAINERD_PROGRAMS = ("containerd", "ctr", "containerd-shim-runc-v2")
# Remove units for consoles, disks and devices: in a container they would fail, or change the machine.
CUSTOMIZE_SCRIPT = r"""
cd "$1"
rm -f etc/systemd/system/*.wants/*
cd usr/lib/systemd/system
rm -f multi-user.target.wants/* local-fs.target.wants/* basic.target.wants/*
rm -f sysinit.target.wants/systemd-tmpfiles-setup.service
rm -f sockets.target.wants/*udev* sockets.target.wants/*initctl*
echo ReadKMsg=no >>"$1/etc/systemd/journald.conf"
"""


def base() -> pathlib.Path:
    """Return the layer with Debian, the base of the node image."""
    inputs = [PACKAGES, images.SUITE, CUSTOMIZE_SCRIPT]
    return cache.build_once("node-base", inputs, _build_base) / "layer.tar"


def node_archive(*, restricted: bool) -> tuple[str, pathlib.Path]:
    """Return the name of the node image and its archive, built now if it is not in the cache.

    restricted: for a machine that cannot give CAP_SYS_RESOURCE to containers.
    """
    parts = [base(), images.base(), *(programs.program(name) for name in ("kind", "kubelet", "coredns", "etcd"))]
    inputs: list[t.Any] = [*images.parts_of(parts), restricted]
    inputs += [pathlib.Path(__file__), pathlib.Path(archive.__file__), *sorted(FILES.iterdir())]
    tag = f"{programs.KUBERNETES}-{cache.digest(inputs)[:12]}"
    name = f"meshops.canary/lab-node:{tag}"
    folder = cache.build_once("node-image", inputs, lambda folder: _build_node(folder, name, restricted))
    return name, folder / "node.tar"


def _build_base(folder: pathlib.Path) -> None:
    host.require(host.IMAGES, "building images")
    with progress.step("Install Debian for the node image (about a minute, once)", cache.root() / "logs") as step:
        argv = [
            "mmdebstrap",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            f"--customize-hook={CUSTOMIZE_SCRIPT}",
        ]
        for excluded in ("doc", "man", "locale", "info"):
            argv.append(f"--dpkgopt=path-exclude=/usr/share/{excluded}/*")
        step.run([*argv, images.SUITE, folder / "layer.tar"])


def _build_node(folder: pathlib.Path, name: str, restricted: bool) -> None:
    host.require(host.IMAGES, "building images")
    with (
        progress.step("Build the node image", cache.root() / "logs") as step,
        tempfile.TemporaryDirectory(dir=folder, prefix="work-") as temporary,
    ):
        work = pathlib.Path(temporary)
        names = step.run([programs.program("kubeadm"), "config", "images", "list", _VERSION_OPTION]).split()
        archive.write(work / "control-plane.tar", [_control_plane_image(work, image) for image in names])
        pause = next(image for image in names if "/pause:" in image)
        files = [
            *_kind_files(pause, restricted),
            *_programs(),
            _container_settings(step),
            *_files_below("var/lib/containerd", _image_store(work, work / "control-plane.tar", step)),
        ]
        if restricted:
            files.append(File("usr/local/sbin/runc", FILES / "runc-without-sys-resource"))
        layers = [archive.layer(base()), archive.layer_of_files(work / "node.layer", files)]
        archive.write(folder / "node.tar", [Image(name, layers, _CONFIG)])


_VERSION_OPTION = f"--kubernetes-version={programs.KUBERNETES}"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LABELS = {"org.opencontainers.image.description": "local build for a lab cluster, not published"}
_CONFIG = {
    "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
    "Env": [_PATH, "container=docker"],
    "Labels": _LABELS,
    # systemd interprets SIGTERM as a request to restart itself.
    "StopSignal": "SIGRTMIN+3",
}


def _control_plane_image(work: pathlib.Path, name: str) -> Image:
    """Return an image under the name that kubeadm expects; its label says that it is a local build."""
    short = name.rpartition("/")[2].partition(":")[0]
    program = f"usr/local/bin/{short}"
    layers, entrypoint = [], [f"/{program}"]
    if short == "pause":
        with tarfile.open(base()) as node:
            busybox = t.cast("t.IO[bytes]", node.extractfile("./usr/bin/busybox")).read()
        files, entrypoint = [File("busybox", busybox)], ["/busybox", "sleep", "infinity"]
    else:
        files = [File("tmp", mode=0o1777), File(program, programs.program(short))]
    if short == "kube-proxy":
        layers.append(archive.layer_of_tar(work / "iptables.layer", images.base(), _is_for_iptables))
        # Debian creates these links in a maintainer script, which does not run here.
        tools = [f"{tool}{suffix}" for tool in ("iptables", "ip6tables") for suffix in ("", "-save", "-restore")]
        files += [File(f"usr/sbin/{tool}", link="xtables-nft-multi") for tool in tools]
    layers.append(archive.layer_of_files(work / f"{short}.layer", files))
    return Image(name, layers, {"Entrypoint": entrypoint, "Env": [_PATH], "Labels": _LABELS})


def _is_for_iptables(path: str) -> bool:
    return not path.startswith(("usr/share/", "var/", "usr/lib/python3", "usr/include/"))


def _image_store(work: pathlib.Path, images_tar: pathlib.Path, step: progress.Step) -> pathlib.Path:
    """Return the data directory of a temporary containerd with the images of an archive."""
    with _private_containerd(work, step) as socket:
        step.run(["ctr", f"--address={socket}", "--namespace=k8s.io", "images", "import", "--no-unpack", images_tar])
    store = work / "store"
    for folder in list(store.iterdir()):
        if folder.name not in ("io.containerd.content.v1.content", "io.containerd.metadata.v1.bolt"):
            shutil.rmtree(folder)
    return store


@contextlib.contextmanager
def _private_containerd(work: pathlib.Path, step: progress.Step) -> Iterator[pathlib.Path]:
    """Run a containerd without CRI; yield its socket."""
    with tempfile.TemporaryDirectory(prefix="lab-containerd-") as temporary:  # the path of a socket must be short
        run = pathlib.Path(temporary)
        socket = run / "s"
        (work / "containerd.toml").write_text(containerd.settings(work / "store", run / "state", socket))
        with step.log.open("ab") as log:
            daemon = subprocess.Popen(["containerd", "--config", work / "containerd.toml"], stdout=log, stderr=log)
        try:
            polling.wait_until(lambda: socket.exists() or daemon.poll() is not None, 20)
            if not socket.exists():
                raise LabError("The containerd for the image store of the node image did not start")
            yield socket
        finally:
            daemon.terminate()
            daemon.wait()


def _kind_files(pause: str, restricted: bool) -> list[File]:
    """Return the files of kind's base image, with the lab's pause image and, if restricted, without OOM scores."""
    source = programs.module_dir("sigs.k8s.io/kind") / "images/base/files"
    by_path = {file.path: file for file in _files_below("", source)}
    for path, file in by_path.items():
        runnable = path.startswith(("usr/local/bin/", "kind/bin/")) or file.source is None
        by_path[path] = dataclasses.replace(file, mode=0o755 if runnable else 0o644)
    settings = (source / "etc/containerd/config.toml").read_text()
    settings = _replaced(settings, "registry.k8s.io/pause:3.10", pause)
    if restricted:
        settings = _replaced(settings, "restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    by_path["etc/containerd/config.toml"] = File("etc/containerd/config.toml", settings.encode(), mode=0o644)
    units = "etc/systemd/system"
    return [
        *by_path.values(),
        File("kind/version", programs.KUBERNETES.encode(), mode=0o644),
        *(File(f"{units}/multi-user.target.wants/{unit}", link=f"/{units}/{unit}") for unit in UNITS),
        # The unit would register interpreters in the kernel of the machine.
        File(f"{units}/systemd-binfmt.service", link="/dev/null"),
    ]


def _files_below(path: str, source: pathlib.Path) -> list[File]:
    """Return everything below the directory `source`, with paths below `path`."""
    found = []
    for item in sorted(source.rglob("*")):
        target = f"{path}/{item.relative_to(source)}".lstrip("/")
        found.append(File(target, None if item.is_dir() else item, mode=item.stat().st_mode & 0o777))
    return found


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise LabError(
            f"The containerd settings of kind do not contain {old!r}", "Adapt nodeimage.py to this version of kind."
        )
    return text.replace(old, new)


def _programs() -> list[File]:
    return [
        *(File(f"usr/bin/{name}", programs.program(name)) for name in ("kubeadm", "kubelet", "kubectl")),
        *(File(f"usr/local/bin/{name}", link=f"/usr/bin/{name}") for name in CONTAINERD_PROGRAMS),
        *(File(f"opt/cni/bin/{name}", link=f"/usr/lib/cni/{name}") for name in CNI_PLUGINS),
        File("etc/kubernetes/manifests"),
        File("etc/cni/net.d/10-pods.conflist", FILES / "pod-network.conflist", mode=0o644),
    ]


def _container_settings(step: progress.Step) -> File:
    """Return the default settings of a container: those of containerd, with the hook that kind's entrypoint needs."""
    spec = json.loads(step.run(["ctr", "oci", "spec"]))
    spec["process"].pop("rlimits", None)
    hooks = spec.setdefault("hooks", {}).setdefault("createContainer", [])
    hooks.append({"path": "/kind/bin/mount-product-files.sh"})
    return File("etc/containerd/cri-base.json", json.dumps(spec).encode(), mode=0o644)
