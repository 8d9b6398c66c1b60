# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images of one static program, as an OCI layout: the same program always gives the same digest."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from . import registry

USERS = {"root": 0, "nobody": 65534, "nonroot": 65532}
PASSWD = "".join(f"{name}:x:{uid}:{uid}:{name}:/:/sbin/nologin\n" for name, uid in USERS.items())
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def write_layout(
    folder: Path, image: dict[str, Any], programs: dict[str, Path], copied: dict[str, dict[str, Path]] | None = None
) -> str:
    """Write the layout for all architectures; returns the digest of its index, which is what a registry will answer.

    An image is made of each program; what was copied from upstream's registry stays as it is.
    """
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    manifests = []
    for arch, program in sorted(programs.items()):
        layer = _blob(blobs, _layer(image, program), LAYER)
        config = {
            "architecture": arch,
            "os": "linux",
            "config": {"Entrypoint": [image["path"]], "User": image["user"], "WorkingDir": "/", "Env": ["PATH=/"]},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _blob(blobs, _json(config), CONFIG),
            "layers": [layer],
        }
        manifests.append({**_blob(blobs, _json(manifest), MANIFEST), "platform": {"architecture": arch, "os": "linux"}})
    for arch, parts in sorted((copied or {}).items()):
        manifests.append({**registry.lay_out(blobs, parts), "platform": {"architecture": arch, "os": "linux"}})
    index = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
    (folder / "index.json").write_bytes(index)
    return f"sha256:{hashlib.sha256(index).hexdigest()}"


def _layer(image: dict[str, Any], program: Path) -> bytes:
    """The program, users by name, and a folder for temporary files; no times, so that it depends on nothing else.

    Not compressed: that costs more than it saves on a local network.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, mode in (("etc", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        for name, content, mode in (
            ("etc/passwd", PASSWD.encode(), 0o644),
            (image["path"].lstrip("/"), program.read_bytes(), 0o755),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _blob(blobs: Path, content: bytes, media_type: str) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
