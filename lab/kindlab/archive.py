# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write container images without Docker: layers and `docker save` archives, with tarfile.

The same inputs produce the same bytes: sorted names, no times, no owners. The id of an image is the hash of its
configuration, which contains the hashes of its layers.

Format: the docker-archive that `docker save` writes and `ctr images import` reads (manifest.json, one configuration
per image, one uncompressed tar per layer).
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pathlib
import platform
import tarfile
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
EPOCH = "1970-01-01T00:00:00Z"
BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class File:
    """One entry of a layer: a file with the content of `source` (a path or bytes), a link to `link`, or a directory."""

    path: str
    source: pathlib.Path | bytes | None = None
    link: str = ""
    mode: int = 0o755


@dataclasses.dataclass(frozen=True)
class Layer:
    """A written layer. digest: SHA-256 of the tar, called diff id in image formats."""

    tar: pathlib.Path
    digest: str


@dataclasses.dataclass(frozen=True)
class Image:
    """An image to write: name with tag, layers from the bottom, and the `config` part of its configuration."""

    name: str
    layers: Sequence[Layer]
    config: dict[str, t.Any]

    def configuration(self) -> bytes:
        """Return the configuration of the image as canonical JSON."""
        return json.dumps(
            {
                "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "created": EPOCH,
                "config": self.config,
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in self.layers]},
                "history": [{"created": EPOCH, "created_by": "lab"} for _layer in self.layers],
            },
            sort_keys=True,
        ).encode()

    @property
    def id(self) -> str:
        return "sha256:" + hashlib.sha256(self.configuration()).hexdigest()


def layer_of_files(target: pathlib.Path, files: Iterable[File]) -> Layer:
    """Write `files` and their parent directories as the layer `target`."""
    by_path = {file.path.strip("/"): file for file in files}
    for path in list(by_path):
        for parent in pathlib.PurePosixPath(path).parents:
            if parent.name:
                by_path.setdefault(str(parent), File(str(parent)))
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(by_path):
            _add(tar, path, by_path[path])
    return layer(target)


def layer_of_tar(target: pathlib.Path, source: pathlib.Path, keep: Callable[[str], bool]) -> Layer:
    """Write the entries of the tar `source` whose path `keep` accepts as the layer `target`, without devices."""
    with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as new:
        members = {member.name.removeprefix("./").strip("/"): member for member in old.getmembers()}
        for path in sorted(members):
            member = members[path]
            if not path or path == "." or member.isdev() or not keep(path):
                continue
            content = old.extractfile(member) if member.isreg() else None
            linked = member.linkname.removeprefix("./") if member.islnk() else member.linkname
            entry = _entry(path, member.type, member.mode, linked)
            entry.size = member.size if content else 0
            new.addfile(entry, content)
    return layer(target)


def layer(tar: pathlib.Path) -> Layer:
    """Return the layer of an existing tar."""
    digest = hashlib.sha256()
    with tar.open("rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return Layer(tar, digest.hexdigest())


def write(target: pathlib.Path, images: Sequence[Image]) -> None:
    """Write one archive with all `images`; a layer that several images share is written once."""
    manifest = []
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        layers = {layer.digest: layer for image in images for layer in image.layers}
        for digest in sorted(layers):
            _add(tar, f"{digest}.tar", File(f"{digest}.tar", layers[digest].tar, mode=0o644))
        for image in images:
            name = image.id.removeprefix("sha256:") + ".json"
            _add(tar, name, File(name, image.configuration(), mode=0o644))
            manifest.append(
                {"Config": name, "RepoTags": [image.name], "Layers": [f"{layer.digest}.tar" for layer in image.layers]}
            )
        _add(tar, "manifest.json", File("manifest.json", json.dumps(manifest).encode(), mode=0o644))


def _add(tar: tarfile.TarFile, path: str, file: File) -> None:
    if file.link:
        tar.addfile(_entry(path, tarfile.SYMTYPE, 0o777, file.link))
    elif file.source is None:
        tar.addfile(_entry(path, tarfile.DIRTYPE, file.mode))
    elif isinstance(file.source, bytes):
        entry = _entry(path, tarfile.REGTYPE, file.mode)
        entry.size = len(file.source)
        tar.addfile(entry, io.BytesIO(file.source))
    else:
        entry = _entry(path, tarfile.REGTYPE, file.mode)
        entry.size = file.source.stat().st_size
        with file.source.open("rb") as content:
            tar.addfile(entry, content)


def _entry(path: str, kind: bytes, mode: int, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type = kind
    entry.mode = mode
    entry.linkname = link
    return entry
