# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container image of one program: the same bytes always give the same digest, and other tools can read it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.image import write_layout

IMAGE = {"path": "/pause", "user": "65535:65535"}
Digest = Callable[[bytes], str]


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, Path]:
    """One for each architecture."""
    result = {}
    for arch in ("arm64", "amd64"):
        result[arch] = tmp_path / f"pause-{arch}"
        result[arch].write_bytes(f"pause for {arch}".encode())
    return result


def files(folder: Path) -> dict[str, bytes]:
    """Content by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def blob(folder: Path, descriptor: dict[str, Any], sha256: Digest) -> bytes:
    """What a descriptor points to, with its digest and size checked, as a registry does."""
    content = (folder / "blobs" / str(descriptor["digest"]).replace(":", "/")).read_bytes()
    assert descriptor["digest"] == f"sha256:{sha256(content)}"
    assert descriptor["size"] == len(content)
    return content


def test_it_is_the_same_whenever_it_is_made(tmp_path: Path, programs: dict[str, Path]) -> None:
    """Whatever the order, the times and the folder."""
    first = write_layout(tmp_path / "a", IMAGE, programs)
    for path in programs.values():
        path.touch()
    second = write_layout(tmp_path / "elsewhere" / "b", IMAGE, dict(reversed(programs.items())))
    assert first == second
    assert files(tmp_path / "a") == files(tmp_path / "elsewhere" / "b")


@pytest.mark.parametrize("change", [{"user": "0:0"}, {"path": "/other"}])
def test_another_image_has_another_digest(tmp_path: Path, programs: dict[str, Path], change: dict[str, str]) -> None:
    """By its content alone."""
    assert write_layout(tmp_path / "a", IMAGE, programs) != write_layout(tmp_path / "b", {**IMAGE, **change}, programs)


def test_every_digest_and_size_is_right(tmp_path: Path, programs: dict[str, Path], sha256: Digest) -> None:
    """From the index down to the program, as a registry checks it."""
    folder = tmp_path / "layout"
    digest = write_layout(folder, IMAGE, programs)
    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = (folder / "index.json").read_bytes()
    assert digest == f"sha256:{sha256(index)}"
    seen = {"oci-layout", "index.json"}
    manifests = json.loads(index)["manifests"]
    assert [item["platform"]["architecture"] for item in manifests] == ["amd64", "arm64"]
    for item in manifests:
        manifest = json.loads(blob(folder, item, sha256))
        config = json.loads(blob(folder, manifest["config"], sha256))
        (descriptor,) = manifest["layers"]
        layer = blob(folder, descriptor, sha256)
        # The layer is not compressed, so it is its own diff id.
        assert config["rootfs"] == {"type": "layers", "diff_ids": [descriptor["digest"]]}
        assert config["architecture"] == item["platform"]["architecture"]
        assert (config["config"]["Entrypoint"], config["config"]["User"]) == (["/pause"], "65535:65535")
        check_layer(layer, config["architecture"])
        for part in (item, manifest["config"], descriptor):
            seen.add("blobs/" + part["digest"].replace(":", "/"))
    assert seen == set(files(folder)), "nothing else is in it"


def check_layer(layer: bytes, arch: str) -> None:
    """The program, a folder for temporary files that all may use, and users by name."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        members = {member.name: member for member in archive}
        assert {name: oct(member.mode) for name, member in members.items()} == {
            "etc": "0o755",
            "tmp": "0o1777",
            "etc/passwd": "0o644",
            "pause": "0o755",
        }
        assert {(member.uid, member.gid, member.mtime) for member in members.values()} == {(0, 0, 0)}
        program, users = archive.extractfile("pause"), archive.extractfile("etc/passwd")
        assert program is not None
        assert users is not None
        assert program.read() == f"pause for {arch}".encode()
        lines = [line.split(":") for line in users.read().decode().splitlines()]
        assert {line[0]: line[2] for line in lines} == {"root": "0", "nobody": "65534", "nonroot": "65532"}
        assert {len(line) for line in lines} == {7}
