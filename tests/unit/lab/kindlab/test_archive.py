# Copyright: (c) 2026, the meshops.canary authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Image archives as containerd reads them: correct hashes, and reproducible bytes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import typing as t

import pytest

from lab.kindlab import archive
from lab.kindlab.archive import File, Image

if t.TYPE_CHECKING:
    from pathlib import Path


def files(source: Path) -> list[File]:
    source.write_bytes(b"program")
    return [
        File("usr/bin/tool", source),
        File("etc/name", b"value", mode=0o644),
        File("usr/bin/alias", link="tool"),
        File("tmp", mode=0o1777),
    ]


def two_images(folder: Path) -> list[Image]:
    low = archive.layer_of_files(folder / "low.tar", files(folder / "tool"))
    high = archive.layer_of_files(folder / "high.tar", [File("opt/more", b"more")])
    return [
        Image("localhost/one:lab", [low], {"User": "1:1"}),
        Image("localhost/two:lab", [low, high], {"User": "2:2"}),
    ]


def members(tar: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(tar) as opened:
        return {member.name: member for member in opened.getmembers()}


def test_layer_has_directories_modes_and_links_without_times_and_owners(tmp_path: Path) -> None:
    layer = archive.layer_of_files(tmp_path / "layer.tar", files(tmp_path / "tool"))
    found = members(layer.tar)
    assert list(found) == ["etc", "etc/name", "tmp", "usr", "usr/bin", "usr/bin/alias", "usr/bin/tool"]
    assert {name for name, member in found.items() if member.isdir()} == {"etc", "tmp", "usr", "usr/bin"}
    modes = {name: found[name].mode for name in ("tmp", "etc/name", "usr/bin/tool")}
    assert modes == {"tmp": 0o1777, "etc/name": 0o644, "usr/bin/tool": 0o755}
    assert found["usr/bin/alias"].linkname == "tool"
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in found.values()} == {(0, 0, 0, "")}


def test_archive_names_files_by_hash_and_contains_a_shared_layer_once(tmp_path: Path) -> None:
    images = two_images(tmp_path)
    archive.write(tmp_path / "images.tar", images)
    with tarfile.open(tmp_path / "images.tar") as tar:
        content = {member.name: t.cast(t.IO[bytes], tar.extractfile(member)).read() for member in tar.getmembers()}
    manifest = json.loads(content["manifest.json"])
    assert [entry["RepoTags"] for entry in manifest] == [["localhost/one:lab"], ["localhost/two:lab"]]
    assert len(content) == 5, "manifest, two configurations, two layers"
    for entry, image in zip(manifest, images, strict=True):
        configuration = content[entry["Config"]]
        assert image.id == "sha256:" + hashlib.sha256(configuration).hexdigest()
        named = json.loads(configuration)["rootfs"]["diff_ids"]
        assert named == ["sha256:" + hashlib.sha256(content[layer]).hexdigest() for layer in entry["Layers"]]


def test_same_inputs_produce_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        archive.write(tmp_path / name / "images.tar", two_images(tmp_path / name))
        written.append((tmp_path / name / "images.tar").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("change", ["content", "configuration"])
def test_changed_content_or_configuration_changes_the_image_id(tmp_path: Path, change: str) -> None:
    def image(content: bytes, user: str) -> Image:
        layer = archive.layer_of_files(tmp_path / "layer.tar", [File("file", content)])
        return Image("localhost/one:lab", [layer], {"User": user})

    same = image(b"a", "1").id
    assert image(b"a", "1").id == same
    assert (image(b"b", "1") if change == "content" else image(b"a", "2")).id != same


def test_layer_of_tar_omits_devices_and_filtered_paths(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        for name, kind in (("./", tarfile.DIRTYPE), ("./dev/null", tarfile.CHRTYPE), ("./usr", tarfile.DIRTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type = kind
            tar.addfile(entry)
        for name in ("./usr/tool", "./usr/share/doc/tool"):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime, entry.uid = 4, 0o750, 12345, 7
            tar.addfile(entry, io.BytesIO(b"text"))
        link = tarfile.TarInfo("./usr/hard")
        link.type, link.linkname = tarfile.LNKTYPE, "./usr/tool"
        tar.addfile(link)
    layer = archive.layer_of_tar(tmp_path / "layer.tar", tmp_path / "root.tar", lambda path: "doc" not in path)
    found = members(layer.tar)
    assert list(found) == ["usr", "usr/hard", "usr/tool"]
    tool = found["usr/tool"]
    assert (tool.mode, tool.size, tool.mtime, tool.uid) == (0o750, 4, 0, 0)
    assert (found["usr/hard"].islnk(), found["usr/hard"].linkname) == (True, "usr/tool")
