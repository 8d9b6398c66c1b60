# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys without a certificate: key pairs and random ones. What they protect would be lost with them.

Of a pair, NAME.key signs and all in NAME.pub are believed; a coming one waits in NAME.next.key.
Of random keys the first line encrypts and all decrypt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets

from cryptography.hazmat.primitives import serialization

from .certificate import PkiError, PrivateKey, load_key, new_key, pem, public_pem
from .desk import BACKUP, Desk, Issued

RANDOM_BYTES = 32  # What AES-256 and secretbox of kube-apiserver take.
PUBLIC = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


def have_key(desk: Desk, name: str, kind: str) -> None:
    """A key that is never replaced but by a rotation."""
    file = f"keys/{name}.key" if kind == "pair" else f"keys/{name}"
    path = desk.folder.path / file
    data = desk.folder.read(file)
    if data is None:
        if file in desk.index:
            why = "a new one could not read what the old one protects"
            raise PkiError(f"{path} was made once and is gone: {BACKUP}; {why}")
        data = pem(new_key()) if kind == "pair" else _random()
        desk.folder.write(file, data, durable=True)
        desk.report.issued.append(Issued(file, "it is new"))
    desk.index.add(file)
    if kind == "pair":
        _pair(desk, f"keys/{name}", load_key(data, str(path)))
    else:
        _lines(desk, file, data)


# ---- pairs
def _pair(desk: Desk, name: str, key: PrivateKey) -> None:
    trusted = _public_keys(desk, name, key)
    own = public_pem(key)
    ids = [key_id(public) for public in [own, *(public for public in trusted if key_id(public) != key_id(own))]]
    phase = desk.rotation.due(name, ids)
    if phase == "trust":
        coming = _coming(desk, name)
        public = public_pem(coming)
        desk.rotation.begin(name, key_id(own), key_id(public))
        trusted = [*trusted, public]
        desk.report.issued.append(Issued(f"{name}.next.key", "it will replace the one in use"))
        desk.rotation.step(name, "tokens of its successor are believed besides its own")
    elif phase == "issue":
        coming = _coming(desk, name, made=True)
        to = desk.rotation.records[name]["to"]
        if key_id(public_pem(coming)) != to:
            raise PkiError(f"{desk.folder.path / name}.next.key is not the one that is believed: {BACKUP}")
        desk.folder.rename(f"{name}.next.key", f"{name}.key")
        ids = [to, *(other for other in ids if other != to)]
        desk.rotation.step(name, "its successor signs tokens")
    elif phase == "drop":
        trusted = [public for public in trusted if key_id(public) != desk.rotation.records[name]["from"]]
        desk.rotation.step(name, "tokens of its predecessor are not believed any more")
    if phase in ("trust", "drop"):
        desk.folder.write(f"{name}.pub", b"".join(trusted), durable=True)
        ids = [ids[0], *(key_id(public) for public in trusted if key_id(public) != ids[0])]
    desk.positions[name] = desk.rotation.position(name, ids)


def _coming(desk: Desk, name: str, made: bool = False) -> PrivateKey:
    """The key that waits, perhaps made by a run that was interrupted."""
    file = f"{name}.next.key"
    data = desk.folder.read(file)
    if data is None:
        if made:
            raise PkiError(f"{desk.folder.path / file} is gone: {BACKUP}")
        data = pem(new_key())
        desk.folder.write(file, data, durable=True)
    return load_key(data, str(desk.folder.path / file))


def _public_keys(desk: Desk, name: str, key: PrivateKey) -> list[bytes]:
    """All that are believed, the pair's own among them."""
    file, own = f"{name}.pub", public_pem(key)
    data = desk.folder.read(file)
    if data is None:
        desk.folder.write(file, own, durable=True)
        if not any(issued.name == f"{name}.key" for issued in desk.report.issued):
            desk.report.repaired.append((file, "it was missing"))
        return [own]
    found = [block + b"\n" for block in PUBLIC.findall(data)]
    try:
        ids = [key_id(public) for public in found]
    except ValueError as error:
        raise PkiError(f"{desk.folder.path / file} has something else than public keys in PEM: {BACKUP}") from error
    if key_id(own) not in ids:
        raise PkiError(f"{desk.folder.path / file} does not have the public half of the key beside it: {BACKUP}")
    return found


def key_id(public: bytes) -> str:
    """The name that kube-apiserver gives a key in the header `kid` of the tokens that it signs (pkg/serviceaccount)."""
    key = serialization.load_pem_public_key(public)
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


# ---- random ones
def _lines(desk: Desk, name: str, data: bytes) -> None:
    lines = data.split()
    if not lines or not all(map(_is_random, lines)):
        raise PkiError(f"{desk.folder.path / name} is not {RANDOM_BYTES} bytes in base64: {BACKUP}")
    phase = desk.rotation.due(name, [random_id(line) for line in lines])
    if phase == "trust":
        coming = _random()
        desk.rotation.begin(name, random_id(lines[0]), random_id(coming))
        lines = [*lines, coming]
        desk.report.issued.append(Issued(name, "it will replace the one in use"))
        desk.rotation.step(name, "its successor decrypts besides it")
    elif phase == "issue":
        lines.sort(key=lambda line: random_id(line) != desk.rotation.records[name]["to"])
        desk.rotation.step(name, "its successor encrypts")
    elif phase == "drop":
        lines = [line for line in lines if random_id(line) != desk.rotation.records[name]["from"]]
        desk.rotation.step(name, "its predecessor is gone")
    if phase:
        desk.folder.write(name, b"\n".join(lines), durable=True)
    desk.positions[name] = desk.rotation.position(name, [random_id(line) for line in lines])


def random_id(line: bytes) -> str:
    """A name that says nothing about the key; the role kube_apiserver makes the same one."""
    return f"key-{hashlib.sha256(line).hexdigest()[:12]}"


def _random() -> bytes:
    return base64.b64encode(secrets.token_bytes(RANDOM_BYTES))


def _is_random(data: bytes) -> bool:
    try:
        return len(base64.b64decode(data, validate=True)) == RANDOM_BYTES
    except binascii.Error:
        return False
