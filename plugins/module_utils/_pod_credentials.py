# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pods have got to talk to the API with, from the files that the kubelet writes for them."""

from __future__ import annotations

import base64
import glob
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

PODS, LOGS = "var/lib/kubelet/pods", "var/log/pods"
# The name that the API server gives the volume of the service account; others may have a ca.crt of something else.
API_VOLUME = "kube-api-access-"
PEM = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
MOST_BYTES = 1 << 20


def complaints(root: Path, ca: str, old_key_id: str) -> list[str]:
    """One line for each pod that does not trust all CAs in `ca`, or has a token that the old key signed."""
    names = {path.name.rsplit("_", 1)[-1]: "/".join(path.name.split("_")[:2]) for path in (root / LOGS).glob("*_*_*")}
    wanted = set(PEM.findall(ca))
    found: dict[str, None] = {}
    for uid, volume in _volumes(root):
        name = names.get(uid, uid)
        if wanted and volume.name.startswith(API_VOLUME) and not wanted <= set(PEM.findall(_read(volume / "ca.crt"))):
            found[f"{name} does not have all CAs yet"] = None
        if old_key_id and any(key_id(_read(path)) == old_key_id for path in _files(volume)):
            found[f"{name} has a token that the old key signed"] = None
    return sorted(found)


def key_id(token: str) -> str | None:
    """Which key signed a token, None for what is none."""
    head, dot, _rest = token.partition(".")
    if not dot or not head.startswith("ey"):
        return None
    try:
        kid = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(kid)


# A pod may end at any moment, and then there is nothing to complain about; glob and os.walk take that for nothing, too.
def _volumes(root: Path) -> Iterator[tuple[str, Path]]:
    for data in glob.iglob(f"{root}/{PODS}/*/volumes/kubernetes.io~projected/*/..data"):
        yield Path(data).parents[3].name, Path(data).parent


def _files(volume: Path) -> Iterator[Path]:
    for folder, _folders, names in os.walk(volume / "..data"):
        yield from (Path(folder, name) for name in names)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""
