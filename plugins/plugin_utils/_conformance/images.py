# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins for the official test images: one layer of Debian under all names, with agnhost on top."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError, digest_of
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.image import CONFIG, LAYER, MANIFEST

INDEX = "application/vnd.oci.image.index.v1+json"
ARCH = {"aarch64": "arm64"}.get(platform.machine(), "amd64")
RELEASE = "bookworm"
# Programs that specs call in a shell of their pods: dig, curl, nc, ss, socat, nginx.
PACKAGES = ("bash", "bind9-dnsutils", "ca-certificates", "curl", "iproute2", "netcat-openbsd", "nginx-light", "socat")
NGINX = """daemon off;
pid /tmp/nginx.pid;
error_log /dev/stderr;
events {}
http { access_log /dev/stdout; server { listen 80; root /usr/share/nginx/html; } }
"""
COMMANDS: dict[str, dict[str, Any]] = {
    "agnhost": {"Entrypoint": ["/agnhost"], "Cmd": ["pause"]},
    "busybox": {"Cmd": ["sh"]},
    "glibc-dns-testing": {"Cmd": ["bash"]},
    "nginx": {"Cmd": ["nginx"]},
}


def recipe() -> str:
    """What images depend on, beside their names and agnhost."""
    return json.dumps([RELEASE, PACKAGES, NGINX, COMMANDS])


def write(folder: Path, names: dict[str, list[str]], agnhost: Path) -> None:
    """Write an OCI layout for each name and tag; they share one folder of blobs."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    base = _base(blobs)
    # agnhost answers in any of the images, as some specs expect of the one and some of the other.
    top = _blob(blobs, _top(_program(agnhost)), LAYER)
    for name, tags in names.items():
        config = {
            "architecture": ARCH,
            "os": "linux",
            "config": {
                **COMMANDS[name],
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [base["digest"], top["digest"]]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _blob(blobs, _json(config), CONFIG),
            "layers": [base, top],
        }
        entry = {**_blob(blobs, _json(manifest), MANIFEST), "platform": {"architecture": ARCH, "os": "linux"}}
        for tag in tags:
            layout = folder / f"{name}-{tag}"
            layout.mkdir()
            (layout / "blobs").symlink_to("../blobs")
            (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
            (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}))


def found(folder: Path, name: str, tag: str) -> dict[str, str]:
    """Layout and digest of an image that was written."""
    layout = folder / f"{name}-{tag}"
    return {"layout": str(layout), "digest": f"sha256:{digest_of(layout / 'index.json')}"}


def _base(blobs: Path) -> dict[str, Any]:
    tar = blobs / "base.tar"
    argv = ["mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(PACKAGES)}", RELEASE, str(tar)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError as error:
        raise ArtifactError(
            "the specs' images are made with mmdebstrap, which is not installed (Debian: mmdebstrap); "
            "`conformance_images: upstream` needs none"
        ) from error
    if done.returncode != 0:
        raise ArtifactError(f"making the specs' images failed: {done.stderr.strip()[-1500:]}")
    digest, size = digest_of(tar), tar.stat().st_size
    tar.replace(blobs / digest)
    return {"mediaType": LAYER, "digest": f"sha256:{digest}", "size": size}


def _program(layout: Path) -> bytes:
    """The program in an image of artifacts, which is the last layer's only executable file."""

    def blob(entry: dict[str, Any]) -> Path:
        return layout / "blobs" / str(entry["digest"]).replace(":", "/")

    index = json.loads((layout / "index.json").read_text(encoding="utf-8"))
    for entry in index["manifests"]:
        if entry["platform"]["architecture"] == ARCH:
            manifest = json.loads(blob(entry).read_text(encoding="utf-8"))
            for layer in reversed(manifest["layers"]):
                with tarfile.open(blob(layer)) as archive:
                    if "agnhost" in archive.getnames() and (stream := archive.extractfile("agnhost")):
                        return stream.read()
    raise ArtifactError(f"there is no agnhost for {ARCH} in {layout}; set `conformance_images: upstream`")


def _top(agnhost: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, mode in (("agnhost", agnhost, 0o755), ("etc/nginx/nginx.conf", NGINX.encode(), 0o644)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("agnhost-2")
        link.type, link.linkname = tarfile.SYMTYPE, "agnhost"
        archive.addfile(link)
        uploads = tarfile.TarInfo("uploads")
        uploads.type, uploads.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(uploads)
    return stream.getvalue()


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _blob(blobs: Path, content: bytes, media_type: str) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
