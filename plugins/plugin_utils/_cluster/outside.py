# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the services of outside hosts."""

from __future__ import annotations

import base64
import difflib
import graphlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .inventory import LABEL
from .model import Error, Host, Inventory

NAME = re.compile(r"[a-z][a-z0-9._-]{0,30}")
NAMES = "use 1 to 31 of a-z, 0-9, '.', '_' and '-', a letter first"
# Host, path and tag as containerd and crane read them (github.com/distribution/reference), and perhaps a digest.
IMAGE = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+:[\w][\w.-]{0,127}(@sha256:[0-9a-f]{64})?")
# What sshd 9 takes, and the least that data of the shortest kind has after its name.
KEY_KINDS = (
    "ssh-ed25519",
    "ssh-rsa",
    *(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521)),
    *("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
)
KEY_BYTES = 32
PAGE = re.compile(r"https?://[^\s/\"'<>]+[^\s\"'<>]*")
GRAFANA = ("repository_key", "admin_password")
ARMORED = re.compile(r"-----BEGIN PGP PUBLIC KEY BLOCK-----\n[\x20-\x7e\n]+\n-----END PGP PUBLIC KEY BLOCK-----")
RELEASE = re.compile(r"\d+\.\d+\.\d+([~+-][\w.~+-]+)?")
NEEDS = {"ci": "git", "grafana": "monitoring", "status_page": "monitoring"}
URL = re.compile(r"(ssh|https)://[^\s]+")
JOB = re.compile(r"[a-z]([a-z0-9-]{0,23}[a-z0-9])?")
PASSWORD = (12, 72)  # Bytes; bcrypt looks at no more.
BACKUP_PASSWORDS = ("backup_password", "backup_state_password")
BACKUP_PASSWORD = 16  # Bytes: whoever has a copy of a repository may try as long as he likes.
# As restic writes them; what stands before the colon says how to get there.
TARGET = re.compile(r"/.+|(s3|b2|azure|gs|swift|rclone):.+|sftp:[^\s:]+:.+|rest:https?://.+")


def services(cluster: Inventory) -> Iterator[Error]:
    """What a service needs is there."""
    chosen = cluster.settings.outside_services
    for service, needed in NEEDS.items():
        if service in chosen and needed not in chosen:
            yield Error(f"{service} needs {needed}", f"add {needed}", "cluster_outside_services")


def registry_users(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Names that fit into a password file, passwords that are worth a hash; no password is in an error."""
    variable = "registry_users"
    for name, user in of_outside(host, cluster, variable, {}).items():
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
    for image in of_outside(host, cluster, variable, []):
        if not IMAGE.fullmatch(image):
            fix = "write it as docker.io/library/nginx:1.29@sha256:DIGEST"
            yield Error(f"{image!r} is no image with its registry and tag", fix, variable)
        elif "@" not in image and host.value("registry_isolated", True):
            fix = f"append what `crane digest {image}` says, or set registry_isolated to false"
            yield Error(f"{image} has no digest", f"{fix}: whoever moves the tag would choose what runs here", variable)
    yield from twice(variable, "image", [str(image).split("@")[0] for image in host.value(variable, [])])


def upstreams(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Caches of what can be reached."""
    variable = "registry_upstreams"
    for name, url in of_outside(host, cluster, variable, {}).items():
        if not re.fullmatch(r"[a-z0-9.-]+", name) or not re.fullmatch(r"https?://[^\s/]+", str(url)):
            yield Error(f"{name}: {url} is no registry", "write it as ghcr.io: https://ghcr.io", variable)


def git_users(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Names that fit into a command, and keys that sshd can read; one key is one user."""
    variable = "git_users"
    given = of_outside(host, cluster, variable, {})
    owners: dict[str, str] = {}
    for name, keys in given.items():
        if not NAME.fullmatch(name):
            yield Error(f"{name!r} is no name of a user", NAMES, variable)
        if not isinstance(keys, list) or not keys:
            yield Error(f"user {name} has no keys", "give it a list of OpenSSH public keys", variable)
            continue
        for number, key in enumerate(keys, 1):
            if not public_key(key):
                fix = "give the line of a file such as id_ed25519.pub, without options (no ssh-dss)"
                yield Error(f"key {number} of user {name} is no OpenSSH public key", fix, variable)
            elif owners.setdefault(str(key).split()[1], name) != name:
                fix = "give each user keys of its own"
                yield Error(f"key {number} of user {name} is also a key of {owners[key.split()[1]]}", fix, variable)


def public_key(text: Any) -> bool:
    """Whether a text is one line with an OpenSSH public key: its kind, and data that begins with the same kind."""
    words = text.split() if isinstance(text, str) and "\n" not in text.strip() else []
    if len(words) < 2 or words[0] not in KEY_KINDS:
        return False
    try:
        data = base64.b64decode(words[1], validate=True)
    except ValueError:
        return False
    kind = words[0].encode()
    return data.startswith(len(kind).to_bytes(4, "big") + kind) and len(data) > len(kind) + 4 + KEY_BYTES


def git_repositories(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Each once, with users that are there."""
    variable = "git_repositories"
    given = of_outside(host, cluster, variable, [])
    yield from unused(cluster, "git", variable, given)
    users = host.value("git_users", {})
    for repository in given:
        name = repository["name"]
        if not NAME.fullmatch(name) or name.endswith(".git"):
            yield Error(f"{name!r} is no name of a repository", f"{NAMES}, without .git", variable)
        for user in dict.fromkeys([*(repository.get("read") or []), *(repository.get("write") or [])]):
            if user not in users:
                near = difflib.get_close_matches(user, users, 1)
                fix = f"did you mean {near[0]}?" if near else "add it to git_users"
                yield Error(f"repository {name} names user {user}, who is not there", fix, variable)
        if repository.get("mirror_from") and (repository.get("write") or repository.get("mirror_to")):
            fix = "let nobody push here (write, mirror_to), or remove mirror_from"
            yield Error(f"repository {name} follows another one", fix, variable)
        for way in ("mirror_from", "mirror_to"):
            url = repository.get(way)
            if url and not URL.fullmatch(url):
                fix = "write it as ssh://git@forge.example.org/team/app.git (https only to follow)"
                yield Error(f"{way} of repository {name} is {url!r}", fix, variable)
            elif url and url.startswith("ssh:") and not host.value("git_mirror_key", ""):
                yield Error(f"{way} of repository {name} needs a key", "set git_mirror_key", variable)
    yield from twice(variable, "repository", [repository["name"] for repository in given])


def ci_jobs(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Jobs of repositories that are there, in an order that there is."""
    variable = "ci_jobs"
    given = of_outside(host, cluster, variable, [])
    yield from unused(cluster, "ci", variable, given)
    repositories = {repository["name"] for repository in host.value("git_repositories", [])}
    names = [job["repository"] for job in given]
    for job in given:
        name = job["repository"]
        if name not in repositories:
            yield Error(f"there is no repository {name}", "add it to git_repositories", variable)
        elif not JOB.fullmatch(name):
            fix = "use 1 to 25 of a-z, 0-9 and '-': a user and a ServiceAccount get its name"
            yield Error(f"repository {name} cannot have a job", fix, variable)
        for other in job.get("after") or []:
            if other not in names:
                yield Error(f"the job of {name} comes after {other}, which has none", "correct the name", variable)
        for namespace in job.get("namespaces") or []:
            if not LABEL.fullmatch(namespace) or namespace.startswith("kube-") or namespace == "ci":
                fix = "name one of the cluster's users, a DNS-1123 label (not kube-... and not ci)"
                yield Error(f"the job of {name} may not have the namespace {namespace!r}", fix, variable)
    try:
        graphlib.TopologicalSorter({job["repository"]: job.get("after") or [] for job in given}).prepare()
    except graphlib.CycleError as error:
        yield Error(f"jobs wait for each other: {' after '.join(error.args[1])}", "remove one `after`", variable)
    yield from twice(variable, "the job of", names)


def backup_passwords(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Two that are worth an encryption, and that differ; none of them is in an error."""
    if "backup" not in cluster.settings.outside_services or not cluster.within(host.name, "outside"):
        return
    given = {variable: str(host.value(variable, "")) for variable in BACKUP_PASSWORDS}
    for variable, password in given.items():
        fix = f"set it, {BACKUP_PASSWORD} bytes or more, in a vault, and keep it where it is found when all is lost"
        if not password:
            yield Error("backups need it", fix, variable)
        elif len(password.encode()) < BACKUP_PASSWORD or "\n" in password:
            yield Error(f"it has {len(password.encode())} bytes, or several lines", fix, variable)
    if all(given.values()) and len(set(given.values())) == 1:
        fix = "set another one: what it opens, with the keys of the CAs, the outside host may not read"
        yield Error("it is the same as backup_password", fix, "backup_state_password")


def backup_targets(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Repositories that restic can name, and folders that are folders."""
    variable = "backup_targets"
    given = of_outside(host, cluster, variable, [])
    yield from unused(cluster, "backup", variable, given)
    for target in given:
        if not TARGET.fullmatch(target):
            fix = "write it as s3:https://HOST/BUCKET, sftp:USER@HOST:/PATH, rest:https://HOST/ or /PATH"
            yield Error("a repository is not written as restic writes it", fix, variable)
    yield from twice(variable, "repository", [str(target) for target in given])
    for path in of_outside(host, cluster, "backup_paths", []):
        if not str(path).startswith("/"):
            yield Error(f"{path!r} is no folder", "write it from / on", "backup_paths")


def backup_keep(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Some are kept."""
    names = [f"backup_keep_{age}" for age in ("hourly", "daily", "weekly", "monthly")]
    counts = [of_outside(host, cluster, name, 1) for name in names]
    for name, count in zip(names, counts, strict=True):
        if count < 0:
            yield Error(f"{count} backups cannot be kept", "set it to 0 or more", name)
    if not any(counts):
        yield Error("no backup would be kept", f"set it, or one of {', '.join(names[1:])}, to 1 or more", names[0])


def status_page(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Links that a browser follows."""
    variable = "status_page_links"
    given = of_outside(host, cluster, variable, [])
    yield from unused(cluster, "status_page", variable, given)
    for link in given:
        if not PAGE.fullmatch(link["url"]):
            yield Error(f"{link['name']} leads to {link['url']!r}", "write it as https://HOST/", variable)
    yield from twice(variable, "link", [link["name"] for link in given])


def grafana(host: Host, cluster: Inventory) -> Iterator[Error]:
    """What an installation from somebody else's repository needs; no error shows the password."""
    given = {name: of_outside(host, cluster, f"grafana_{name}", "") for name in GRAFANA}
    for name, value in given.items():
        yield from unused(cluster, "grafana", f"grafana_{name}", value)
    if "grafana" not in cluster.settings.outside_services or not cluster.within(host.name, "outside"):
        return
    if not ARMORED.fullmatch(given["repository_key"].strip()):
        problem = "it is no OpenPGP public key" if given["repository_key"] else "packages are not taken without it"
        fix = "set it to what grafana_repository_url has as gpg.key, by which packages are verified"
        yield Error(problem, fix, "grafana_repository_key")
    if not PASSWORD[0] <= len(given["admin_password"].encode()) <= PASSWORD[1] or "\n" in given["admin_password"]:
        fix = f"set it, {PASSWORD[0]} to {PASSWORD[1]} bytes in one line, in a vault"
        yield Error("it would be easily guessed, or is no password", fix, "grafana_admin_password")
    if not PAGE.fullmatch(url := host.value("grafana_repository_url", "https://apt.grafana.com")):
        yield Error(f"{url!r} is no repository", "write it as https://apt.grafana.com", "grafana_repository_url")
    if not RELEASE.fullmatch(version := host.value("grafana_version", "12.3.0")):
        yield Error(f"{version!r} is no version of the package", "write it as 12.3.0", "grafana_version")


def logging(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Some logs are kept, and there is somebody who keeps them."""
    for variable in ("logging_retention_days", "logging_retention_gib", "logging_memory_mib"):
        given = of_outside(host, cluster, variable, None)
        yield from unused(cluster, "logging", variable, given is not None)
        if given is not None and given < 1:
            yield Error(f"{given} is too little", "set it to 1 or more", variable)
    buffer = host.value("vlagent_buffer_gib", None)
    yield from unused(cluster, "logging", "vlagent_buffer_gib", buffer is not None)
    if buffer is not None and buffer < 1:
        yield Error(f"{buffer} GiB hold no logs", "set it to 1 or more", "vlagent_buffer_gib")


def of_outside(host: Host, cluster: Inventory, variable: str, empty: Any) -> Any:
    """A variable's value on an outside host; on others it says nothing."""
    return host.value(variable, empty) if cluster.within(host.name, "outside") else empty


def unused(cluster: Inventory, service: str, variable: str, given: Any) -> Iterator[Error]:
    """Nobody sets what does nothing."""
    if given and service not in cluster.settings.outside_services:
        yield Error(f"the cluster has no {service}", f"add {service} to cluster_outside_services", variable)


def twice(variable: str, what: str, names: list[Any]) -> Iterator[Error]:
    """Each name is there once."""
    for name, count in Counter(names).items():
        if count > 1:
            yield Error(f"{what} {name} is there {count} times", "remove all but one", variable)
