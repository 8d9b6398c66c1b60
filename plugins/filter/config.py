# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that turn variables into a component's own configuration."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import gzip
import hmac
import io
import json
import string
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.parsing.yaml.dumper import AnsibleDumper


def native_config(
    generated: Mapping[str, Any], user: Mapping[str, Any], owned: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Merge the user's document over ours; lists replace. A key in `owned` (dotted path: reason) may not be set."""
    for path, reason in (owned or {}).items():
        if _has(user, path):
            raise AnsibleFilterError(f"`{path}` may not be set here: {reason}")
    return _merge(generated, user)


def _has(document: Mapping[str, Any], path: str) -> bool:
    """Whether the document sets the key, or replaces a dictionary that holds it; keys may have dots themselves."""
    if path in document:
        return True
    parts = path.split(".")
    for number in range(1, len(parts)):
        head, rest = ".".join(parts[:number]), ".".join(parts[number:])
        if head in document and (not isinstance(document[head], Mapping) or _has(document[head], rest)):
            return True
    return False


def _merge(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    for key, value in theirs.items():
        before = merged.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(before, value)
        else:
            merged[key] = value
    return merged


def cli_flags(flags: Mapping[str, Any]) -> list[str]:
    """Flags as Kubernetes programs take them, sorted: booleans as true and false, lists joined with commas."""
    return [f"--{name}={_flag(value)}" for name, value in sorted(flags.items())]


def _flag(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(_flag(item) for item in value)
    return str(value)


def to_ini(document: Mapping[str, Mapping[str, Any]]) -> str:
    """INI text of sections with plain values, as Grafana reads it; a value with a mark of a comment is quoted."""
    lines: list[str] = []
    for section, values in document.items():
        if not isinstance(values, Mapping):
            raise AnsibleFilterError(f"`{section}` is {values!r}, and no section with keys")
        lines += [f"[{section}]", *(f"{key} = {_ini(value, f'{section}.{key}')}" for key, value in values.items()), ""]
    return "\n".join(lines)


def _ini(value: Any, name: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float)) or "\n" in str(value) or '"""' in str(value):
        raise AnsibleFilterError(f"`{name}` is {value!r}: give one line of text, a number, true or false")
    return f'"""{value}"""' if any(mark in str(value) for mark in "#;`\"'") else str(value)


def to_toml(document: Mapping[str, Any], prefix: str = "") -> str:
    """TOML text of nested dictionaries with plain values and lists of them: all that containerd needs."""
    plain = {key: value for key, value in document.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in document.items() if isinstance(value, Mapping)}
    lines = [f"{_toml_key(key)} = {_toml_value(value, f'{prefix}.{key}'.strip('.'))}\n" for key, value in plain.items()]
    text = (f"[{prefix}]\n" if prefix and (plain or not tables) else "") + "".join(lines)
    for key, value in tables.items():
        name = f"{prefix}.{_toml_key(key)}" if prefix else _toml_key(key)
        text += ("\n" if text else "") + to_toml(value, name)
    return text


def _toml_key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _toml_text(key)


def _toml_text(text: str) -> str:
    # JSON's escapes are TOML's, but for pairs that stand for one character, and DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_value(value: Any, name: str) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml_value(item, name) for item in value)}]"
    if isinstance(value, str):
        return _toml_text(value)
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    raise AnsibleFilterError(f"`{name}` is {value!r}, which TOML cannot say: give a text, a number, true or false")


def kubeconfig(server: str, cluster: str, user: str, **identity: str) -> str:
    """A kubeconfig with one context.

    `ca`, `cert` and `key` are paths on the host; `ca_data`, `cert_data` and `key_data` are PEM texts to embed.
    """
    names = {"ca": "certificate-authority", "cert": "client-certificate", "key": "client-key"}
    fields = {}
    for name, field in names.items():
        if f"{name}_data" in identity:
            fields[name] = {f"{field}-data": base64.b64encode(identity[f"{name}_data"].encode()).decode()}
        elif name in identity:
            fields[name] = {field: identity[name]}
        else:
            raise AnsibleFilterError(f"kubeconfig needs `{name}` or `{name}_data`")
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server, **fields["ca"]}}],
        "users": [{"name": user, "user": {**fields["cert"], **fields["key"]}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "current-context": cluster,
    }
    return str(yaml.dump(document, Dumper=AnsibleDumper, sort_keys=False, default_flow_style=False))


# Old snapshots of etcd and records of drills, which are no part of what a cluster is rebuilt from, and locks.
UNSEALED = {"snapshots", "drills.jsonl", ".lock"}
# As `htpasswd -B` does: each request of a client is checked anew, and passwords have to be long.
BCRYPT_COST = 5
BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
BCRYPT64 = "./" + string.ascii_uppercase + string.ascii_lowercase + string.digits


def htpasswd(users: Mapping[str, Mapping[str, Any]], key: str, push: bool = False) -> str:
    """Lines of a password file with bcrypt hashes, of all users or of those that may push.

    Salts are made with the key, a secret, so that a file stays the same while its users do.
    """
    chosen = {name: str(user["password"]) for name, user in sorted(users.items()) if not push or user.get("push")}
    return "".join(f"{name}:{_bcrypt(name, password, key)}\n" for name, password in chosen.items())


def _bcrypt(name: str, password: str, key: str) -> str:
    digest = hmac.digest(key.encode(), f"{name}:{password}".encode(), "sha256")
    salt = base64.b64encode(digest[:16]).decode().rstrip("=").translate(str.maketrans(BASE64, BCRYPT64))
    crypt = _libcrypt().crypt
    crypt.argtypes, crypt.restype = (ctypes.c_char_p, ctypes.c_char_p), ctypes.c_char_p
    hashed = crypt(password.encode(), f"$2b${BCRYPT_COST:02d}${salt}".encode())
    if not hashed or not hashed.startswith(b"$2b$"):
        raise AnsibleFilterError("the control node's libcrypt knows no bcrypt: install libxcrypt (libcrypt1)")
    return str(hashed.decode())


def _libcrypt() -> ctypes.CDLL:
    """Python's own crypt module ended with 3.12; the library is part of every Linux."""
    for name in ("libcrypt.so.1", "libcrypt.so.2"):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    raise AnsibleFilterError("the control node has no libcrypt: install libcrypt1 (Debian) or libxcrypt (RHEL)")


def sealed(folder: str, password: str) -> str:
    """A folder as `ansible-vault` encrypts it: a compressed archive that stays the same while its files do.

    Its salt is made of password and content, so it is another one for each content.
    """
    root = Path(folder)
    if not root.is_dir():
        raise AnsibleFilterError(f"there is no folder {folder} to be sealed")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in sorted(it for it in root.rglob("*") if it.is_file() and not UNSEALED.intersection(it.parts)):
            content = path.read_bytes()
            entry = tarfile.TarInfo(str(path.relative_to(root)))
            entry.size, entry.mode = len(content), 0o600
            tar.addfile(entry, io.BytesIO(content))
    content = gzip.compress(archive.getvalue(), mtime=0)
    salt = hmac.digest(password.encode(), content, "sha256")
    return str(VaultLib().encrypt(content, VaultSecret(password.encode()), salt=salt).decode()) + "\n"


def program_files(folder: str, dest: str) -> list[dict[str, str]]:
    """A Python package as files of a component, that restart nothing."""
    sources = sorted(Path(folder).glob("*.py"))
    if not sources:
        raise AnsibleFilterError(f"there is no program in {folder}")
    return [
        {"dest": f"{dest}/{path.name}", "content": path.read_text(encoding="utf-8"), "restarts": ""} for path in sources
    ]


def ceph_keyring(users: Mapping[str, Mapping[str, str]], key: str, *chosen: str) -> str:
    """A keyring of Ceph with all users, which are names with rights, or with those that are named.

    Each user's own key is made of ours, a secret, so that every host's share is known without asking another one.
    """
    lines: list[str] = []
    for user, rights in users.items():
        if not chosen or user in chosen:
            caps = [f'\tcaps {service} = "{right}"' for service, right in sorted(rights.items())]
            lines += [f"[{user}]", f"\tkey = {_ceph_secret(key, user)}", *caps]
    if missing := [user for user in chosen if user not in users]:
        raise AnsibleFilterError(f"there is no user {', '.join(missing)}")
    return "\n".join(lines) + "\n"


def _ceph_secret(key: str, user: str) -> str:
    """AES (1), no time at which it was made, 16 bytes (CryptoKey of Ceph's src/auth/Crypto.cc)."""
    secret = hmac.digest(key.splitlines()[0].encode(), f"ceph {user}".encode(), "sha256")[:16]
    return base64.b64encode(struct.pack("<HIIH", 1, 0, 0, len(secret)) + secret).decode()


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict[str, Any]:
        """Names as used in templates."""
        return {
            "native_config": native_config,
            "cli_flags": cli_flags,
            "to_ini": to_ini,
            "to_toml": to_toml,
            "kubeconfig": kubeconfig,
            "htpasswd": htpasswd,
            "sealed": sealed,
            "program_files": program_files,
            "ceph_keyring": ceph_keyring,
        }
