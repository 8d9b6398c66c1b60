# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the services of outside hosts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .model import Error, Host, Inventory

NAME = re.compile(r"[a-z][a-z0-9._-]{0,30}")
NAMES = "use 1 to 31 of a-z, 0-9, '.', '_' and '-', a letter first"
# Host, path and tag as containerd and crane read them (github.com/distribution/reference), and perhaps a digest.
IMAGE = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+:[\w][\w.-]{0,127}(@sha256:[0-9a-f]{64})?")
PASSWORD = (12, 72)  # Bytes; bcrypt looks at no more.


def registry_users(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Names that fit into a password file, passwords that are worth a hash; no password is in an error."""
    variable = "registry_users"
    for name, user in host.value(variable, {}).items() if cluster.within(host.name, "outside") else ():
        if name in ("pull", "push"):
            yield Error(f"user {name} is there by itself", "choose another name", variable)
        elif not NAME.fullmatch(name):
            yield Error(f"{name!r} is no name of a user", NAMES, variable)
        given = user if isinstance(user, dict) else {}
        password = given.get("password")
        if not isinstance(password, str) or given.keys() - {"password", "push"}:
            yield Error(f"user {name} is not described", "give it a password, and perhaps push: true", variable)
        elif not PASSWORD[0] <= len(password.encode()) <= PASSWORD[1]:
            fix = f"give it {PASSWORD[0]} to {PASSWORD[1]} bytes"
            yield Error(f"the password of {name} has {len(password.encode())} bytes", fix, variable)
        if not isinstance(given.get("push", False), bool):
            yield Error(f"push of user {name} is {given['push']!r}", "make it true or false", variable)


def images(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Images that are named so that it is known what they are; where nothing else can be had, by digest."""
    variable = "artifacts_images"
    for image in host.value(variable, []) if cluster.within(host.name, "outside") else ():
        if not IMAGE.fullmatch(image):
            fix = "write it as docker.io/library/nginx:1.29@sha256:DIGEST"
            yield Error(f"{image!r} is no image with its registry and tag", fix, variable)
        elif "@" not in image and host.value("registry_isolated", True):
            fix = f"append what `crane digest {image}` says, or set registry_isolated to false"
            yield Error(f"{image} has no digest", f"{fix}: whoever moves the tag would choose what runs here", variable)
    yield from _twice(variable, "image", [str(image).split("@")[0] for image in host.value(variable, [])])


def upstreams(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Caches of what can be reached."""
    variable = "registry_upstreams"
    for name, url in host.value(variable, {}).items() if cluster.within(host.name, "outside") else ():
        if not re.fullmatch(r"[a-z0-9.-]+", name) or not re.fullmatch(r"https?://[^\s/]+", str(url)):
            yield Error(f"{name}: {url} is no registry", "write it as ghcr.io: https://ghcr.io", variable)


def _twice(variable: str, what: str, names: list[Any]) -> Iterator[Error]:
    for name, count in Counter(names).items():
        if count > 1:
            yield Error(f"{what} {name} is there {count} times", "remove all but one", variable)
