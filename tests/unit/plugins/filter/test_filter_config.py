# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that turn variables into configuration; what they write is read back by independent readers."""

from __future__ import annotations

import base64
import copy
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.selfhosted.kubernetes.plugins.filter.config import (
    FilterModule,
    cli_flags,
    htpasswd,
    kubeconfig,
    native_config,
    program_files,
    sealed,
    to_toml,
)
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.text(min_size=1, max_size=8)
PLAIN = st.one_of(st.text(max_size=8), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
DOCUMENTS = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=4),
    lambda inner: st.dictionaries(KEYS, st.one_of(VALUES, inner), max_size=4),
    max_leaves=12,
)


# ---- native_config
@pytest.mark.parametrize(
    ("generated", "user", "expected"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3, "d": 4}}, {"a": {"b": 1, "c": 3, "d": 4}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [{"b": 1}]}, {"a": [{"c": 1}]}, {"a": [{"c": 1}]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
        ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": True}, {"a": False}, {"a": False}),
        ({"a": 1}, {"a": 0}, {"a": 0}),
    ],
)
def test_merge(generated: dict[str, Any], user: dict[str, Any], expected: dict[str, Any]) -> None:
    """The user's document wins, dictionaries merge, lists replace; neither document is touched."""
    before = copy.deepcopy((generated, user))
    assert native_config(generated, user) == expected
    assert (generated, user) == before


@given(generated=DOCUMENTS, user=DOCUMENTS)
def test_merge_has_all_that_the_user_said(generated: dict[str, Any], user: dict[str, Any]) -> None:
    """And the same again changes nothing."""
    merged = native_config(generated, user)
    assert list(merged) == [*generated, *(key for key in user if key not in generated)]
    assert native_config(merged, user) == merged
    assert native_config({}, user) == user
    assert native_config(generated, {}) == generated


OWNED = {
    "name": "rename the host",
    "authentication.x509": "the pki role issues it",
    "plugins.io.containerd.cri.v1.runtime.cni": "the overlay owns it",
}


@pytest.mark.parametrize(
    ("user", "key"),
    [
        ({"name": "x"}, "name"),
        ({"name": None}, "name"),
        ({"authentication": {"x509": {"clientCAFile": "/x"}}}, "authentication.x509"),
        ({"authentication.x509": 1}, "authentication.x509"),
        # Replacing what holds it replaces it, too.
        ({"authentication": None}, "authentication.x509"),
        ({"authentication": "none"}, "authentication.x509"),
        # A key may have dots of its own.
        ({"plugins": {"io.containerd.cri.v1.runtime": {"cni": {}}}}, "plugins.io.containerd.cri.v1.runtime.cni"),
        ({"plugins": {"io.containerd.cri.v1.runtime": None}}, "plugins.io.containerd.cri.v1.runtime.cni"),
    ],
)
def test_owned_keys_may_not_be_set(user: dict[str, Any], key: str) -> None:
    """The error has the key and what to do instead."""
    with pytest.raises(AnsibleFilterError, match=f"^`{key}` may not be set here: {OWNED[key]}"):
        native_config({}, user, OWNED)


@pytest.mark.parametrize(
    "user",
    [
        {},
        {"names": "x"},
        {"other": {"name": "x"}},
        {"authentication": {}},
        {"authentication": {"webhook": {"x509": 1}}},
        {"plugins": {"io.containerd.cri.v1.images": {"cni": 1}}},
        {"plugins": {"io.containerd.cri.v1.runtime": {"containerd": {}}}},
    ],
)
def test_neighbours_of_owned_keys_may_be_set(user: dict[str, Any]) -> None:
    """They are the user's."""
    assert native_config({}, user, OWNED) == user


# ---- cli_flags
def test_flags() -> None:
    """Sorted, in the notation of Kubernetes programs."""
    flags = {"v": 2, "profiling": False, "goaway-chance": 0.001, "authorization-mode": ["Node", "RBAC"], "allow": True}
    assert cli_flags({**flags, "empty": "", "list": [True, 1], "none": []}) == [
        *("--allow=true", "--authorization-mode=Node,RBAC", "--empty=", "--goaway-chance=0.001"),
        *("--list=true,1", "--none=", "--profiling=false", "--v=2"),
    ]
    assert cli_flags({}) == []


# ---- to_toml
@pytest.mark.parametrize(
    "document",
    [
        {},
        {"version": 3},
        {"a": {"b": {}}},
        {"a": {"b": {"c": 1}}, "d": 2},
        {"a": {"x": 1, "b": {"c": [1, 2], "d": True}}},
        {"plugins": {"io.containerd.cri.v1.runtime": {"cni": {"bin_dirs": ["/opt/cni/bin"]}}}},
        {"host": {"https://192.0.2.6:5000/v2/docker.io": {"capabilities": ["pull", "resolve"], "override_path": True}}},
        {
            "quotes": 'a "b" \\ c\nd\t',
            "unicode": "bücher ☃",
            "empty": "",
            "path": "C:\\x",
            "control": "\x00\x1f\x7f",
            "💡": "💡",
        },
        {"strange keys": {"": 1, "a.b": 2, "ü": 3, '"': 4, "a b": 5}},
        {"float": 1.5, "negative": -1, "large": 10**12, "huge": 1e300, "endless": float("inf"), "lists": [[1], ["a"]]},
        # What stands after a table belongs to it, so plain values have to come first.
        {"table": {"a": 1}, "plain": 2, "other": {"b": 3}, "last": "x"},
    ],
)
def test_toml_is_read_back(document: dict[str, Any]) -> None:
    """By Python's own parser."""
    assert tomllib.loads(to_toml(document)) == document


@given(DOCUMENTS)
def test_any_document_is_read_back(document: dict[str, Any]) -> None:
    """Keys and texts of any characters that TOML can have."""
    assert tomllib.loads(to_toml(document)) == document


@pytest.mark.parametrize("value", [None, [1, None], [{"a": 1}], object()])
def test_what_toml_cannot_say(value: Any) -> None:
    """Rather an error than a file that containerd refuses."""
    with pytest.raises(AnsibleFilterError, match=r"`a\.b` is .*, which TOML cannot say"):
        to_toml({"a": {"b": value}})


# ---- kubeconfig
def test_kubeconfig_with_files() -> None:
    """Paths on the host, one context."""
    text = kubeconfig(
        "https://127.0.0.1:7443", "lab", "system:node:w1", ca="/pki/ca.crt", cert="/pki/c.crt", key="/pki/c.key"
    )
    assert yaml.safe_load(text) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "lab", "cluster": {"server": "https://127.0.0.1:7443", "certificate-authority": "/pki/ca.crt"}}
        ],
        "users": [{"name": "system:node:w1", "user": {"client-certificate": "/pki/c.crt", "client-key": "/pki/c.key"}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "system:node:w1"}}],
        "current-context": "lab",
    }


def test_kubeconfig_with_embedded_data() -> None:
    """For a person who carries one file."""
    data = {"ca_data": "CA\n", "cert_data": "CERT\n", "key_data": "KEY\n"}
    document = yaml.safe_load(kubeconfig("https://api.example.org", "lab", "admin", **data))
    embedded = {**document["clusters"][0]["cluster"], **document["users"][0]["user"]}
    assert embedded.pop("server") == "https://api.example.org"
    assert {name: base64.b64decode(value).decode() for name, value in embedded.items()} == {
        "certificate-authority-data": "CA\n",
        "client-certificate-data": "CERT\n",
        "client-key-data": "KEY\n",
    }


@pytest.mark.parametrize("missing", ["ca", "cert", "key"])
def test_kubeconfig_needs_all_three(missing: str) -> None:
    """It would only fail on the host."""
    paths = {name: f"/{name}" for name in ("ca", "cert", "key") if name != missing}
    with pytest.raises(AnsibleFilterError, match=f"kubeconfig needs `{missing}` or `{missing}_data`"):
        kubeconfig("https://x", "lab", "admin", **paths)


def test_every_filter_has_its_page() -> None:
    """Names as used in templates, each with documentation beside the code."""
    pages = Path(__file__).resolve().parents[4] / "plugins" / "filter"
    assert set(FilterModule().filters()) == {page.stem for page in pages.glob("*.yml")}


# ---- htpasswd
USERS: dict[str, dict[str, Any]] = {
    "bob": {"password": "battery-staple"},
    "alice": {"password": "pässword of alice", "push": True},
}


@pytest.mark.parametrize(("push", "names"), [(False, ["alice", "bob"]), (True, ["alice"])])
def test_htpasswd_lines_are_what_crypt_makes_of_the_passwords(push: bool, names: list[str]) -> None:
    """Asked of Perl, which has it from the system as nginx does."""
    lines = [line.split(":") for line in htpasswd(USERS, "secret", push=push).splitlines()]
    assert [name for name, _ in lines] == names
    for name, hashed in lines:
        assert hashed.startswith("$2b$05$")
        for password, fits in ((USERS[name]["password"], True), ("other", False)):
            ask = ["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", str(password), hashed]
            assert (subprocess.run(ask, capture_output=True, text=True, check=True).stdout == hashed) is fits


def test_htpasswd_salts_depend_on_user_password_and_key() -> None:
    """And on nothing else: the file stays the same."""
    user = {"password": "the same password"}
    one = htpasswd({"a": user, "b": user}, "key")
    assert one == htpasswd({"b": user, "a": user}, "key")
    salts = [line.split(":")[1][:29] for line in (one + htpasswd({"a": user}, "other key")).splitlines()]
    assert len(set(salts)) == 3


# ---- sealed
def test_a_sealed_folder_is_opened_by_ansible_vault(tmp_path: Path) -> None:
    """All of it but snapshots and records of drills; it stays the same until a file is another one, or the password."""
    state, vault = tmp_path / "state", tmp_path / "state.vault"
    for name in ("pki/ca/etcd.key", "cluster-uid", "snapshots/before.db", "drills.jsonl", "pki/.lock"):
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_text(name, encoding="ascii")
    vault.write_text(sealed(str(state), "staple-correct-horse"), encoding="ascii")
    assert sealed(str(state), "staple-correct-horse") == vault.read_text(encoding="ascii")
    (tmp_path / "password").write_text("staple-correct-horse", encoding="ascii")
    program = Path(sys.executable).with_name("ansible-vault")
    given = [f"--vault-password-file={tmp_path / 'password'}", f"--output={tmp_path / 'state.tar.gz'}", str(vault)]
    subprocess.run([program, "decrypt", *given], check=True, capture_output=True)
    with tarfile.open(tmp_path / "state.tar.gz") as archive:
        found = {member.name: archive.extractfile(member).read().decode() for member in archive}  # type: ignore[union-attr]
    assert found == {name: name for name in ("cluster-uid", "pki/ca/etcd.key")}
    assert sealed(str(state), "another-one") != vault.read_text(encoding="ascii")
    (state / "cluster-uid").write_text("another", encoding="ascii")
    assert sealed(str(state), "staple-correct-horse") != vault.read_text(encoding="ascii")


def test_no_folder_to_be_sealed(tmp_path: Path) -> None:
    """A typing error must not make an empty archive."""
    with pytest.raises(AnsibleFilterError, match="there is no folder"):
        sealed(str(tmp_path / "none"), "staple-correct-horse")


def test_program_files(tmp_path: Path) -> None:
    """All modules of a package, and an error where there is none."""
    (tmp_path / "b.py").write_text("B = '{{ no template }}'\n")
    (tmp_path / "a.py").write_text("")
    (tmp_path / "a.pyc").write_text("")
    assert program_files(str(tmp_path), "/opt/x") == [
        {"dest": "/opt/x/a.py", "content": "", "restarts": ""},
        {"dest": "/opt/x/b.py", "content": "B = '{{ no template }}'\n", "restarts": ""},
    ]
    with pytest.raises(AnsibleFilterError, match="there is no program in"):
        program_files(str(tmp_path / "gone"), "/opt/x")
