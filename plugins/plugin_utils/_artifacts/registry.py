# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upstream's images, copied from their registry by the distribution API.

Every part is content by digest, so that the cache and a bundle keep an image as they keep programs: `manifest`,
`config` and `layer-N`. Only the tag's own answer has to be trusted; it is pinned as releases are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cache import ArtifactError, digest_of

OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution"
ACCEPT = f"{OCI}.index.v1+json, {OCI}.manifest.v1+json, {DOCKER}.manifest.list.v2+json, {DOCKER}.manifest.v2+json"


def pull(
    ref: str, arch: str, fetch: Callable[[str], Path], pin: Callable[[str, Path], None], work: Path
) -> dict[str, Path]:
    """The parts of an image for one architecture. `fetch` takes a URL; `pin` takes what the tag means today."""
    host, name = ref.rsplit(":", 1)[0].split("/", 1)
    base = f"https://{host}/v2/{name}"
    tag = f"{base}/manifests/{ref.rsplit(':', 1)[1]}"
    try:
        made = {"manifest": fetch(tag)}
        document = json.loads(made["manifest"].read_bytes())
        pin(tag, made["manifest"])
        if "manifests" in document:
            chosen = next((entry for entry in document["manifests"] if _is_for(arch, entry["platform"])), None)
            if chosen is None:
                raise ArtifactError(f"{ref} has no image for linux/{arch}")
            made = {"manifest": _verified(ref, fetch(f"{base}/manifests/{chosen['digest']}"), chosen)}
            document = json.loads(made["manifest"].read_bytes())
        parts = {"config": document["config"], **{f"layer-{n}": layer for n, layer in enumerate(document["layers"])}}
        for part, descriptor in parts.items():
            made[part] = _verified(ref, fetch(f"{base}/blobs/{descriptor['digest']}"), descriptor)
        if not _is_for(arch, json.loads(made["config"].read_bytes())):
            raise ArtifactError(f"{ref} has no image for linux/{arch}")
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{ref}: {base} answered with something that is no image ({error!r})") from error
    # Two layers may be the same, and each part is moved into the cache.
    return {part: Path(shutil.copyfile(path, work / part)) for part, path in made.items()}


def lay_out(blobs: Path, parts: dict[str, Path]) -> dict[str, Any]:
    """Put a copied image into a layout's blobs; returns the descriptor of its manifest."""
    for path in parts.values():
        shutil.copyfile(path, blobs / digest_of(path))
    manifest = parts["manifest"].read_bytes()
    return {
        "mediaType": json.loads(manifest).get("mediaType", f"{OCI}.manifest.v1+json"),
        "digest": f"sha256:{digest_of(parts['manifest'])}",
        "size": len(manifest),
    }


def _is_for(arch: str, platform: dict[str, Any]) -> bool:
    return (platform["os"], platform["architecture"]) == ("linux", arch)


def _verified(ref: str, file: Path, descriptor: dict[str, Any]) -> Path:
    found = f"sha256:{digest_of(file)}"
    if found != descriptor["digest"]:
        raise ArtifactError(
            f"{ref}: wrong checksum: its manifest says {descriptor['digest']}, the file has {found}. "
            "Nothing was installed; try again, and if it stays so, do not use that source"
        )
    return file
