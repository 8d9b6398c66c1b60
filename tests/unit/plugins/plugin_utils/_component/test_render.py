# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The renderer on a small role, with Ansible's own loader and templating."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._component.render import Renderer

Render = Callable[..., list[dict[str, Any]]]
COMPONENT = {
    "name": "toy",
    "files": [{"dest": "/etc/toy/toy.ini", "template": "etc/toy.ini.j2"}],
    "unit": {"template": "etc/toy.service.j2"},
    "health": {"url": "http://127.0.0.1:{{ toy_port }}/health"},
}
OPTIONS = {
    "toy_port": {"type": "int", "default": 80},
    "toy_greeting": {"type": "str"},
    "toy_names": {"type": "list", "elements": "str"},
    "toy_debug": {"type": "bool"},
}


class Role:
    """A role of the user's, to be changed by a test."""

    def __init__(self, base: Path, name: str = "toy") -> None:
        self.folder = base / name
        self.name = name
        self.write("defaults/main.yml", {"toy_port": 80, "toy_greeting": "hello", "toy_names": [], "toy_debug": False})
        self.write("meta/argument_specs.yml", {"argument_specs": {"main": {"options": OPTIONS}}})
        self.component(**COMPONENT)
        self.text("templates/etc/toy.ini.j2", "port={{ toy_port }}\ngreeting={{ toy_greeting }}\n")
        self.text("templates/etc/toy.service.j2", "[Service]\nExecStart=/usr/local/bin/toy\n")

    def text(self, path: str, content: str) -> None:
        """Write a file."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(content, encoding="utf-8")

    def write(self, path: str, document: Any) -> None:
        """Write a YAML file."""
        self.text(path, yaml.safe_dump(document))

    def component(self, *more: dict[str, Any], **component: Any) -> None:
        """Write vars with one component, or with several."""
        self.write("vars/main.yml", {f"{self.name}_component": [component, *more] if more else component})


@pytest.fixture
def role(tmp_path: Path) -> Role:
    """A role beside the playbook."""
    return Role(tmp_path / "roles")


@pytest.fixture
def secrets() -> dict[str, str]:
    """What the last rendering kept apart."""
    return {}


@pytest.fixture
def render(tmp_path: Path, secrets: dict[str, str]) -> Render:
    """Components of a role, with variables of the host."""
    artifacts = {"toy": {"sha256": "a" * 64, "size": 7, "version": "1.0"}}

    def once(name: str = "toy", **variables: Any) -> list[dict[str, Any]]:
        loader = DataLoader()
        paths = [str(tmp_path / "roles"), str(tmp_path / "others")]
        renderer = Renderer(loader, Templar(loader=loader), variables, paths, artifacts, str(tmp_path / "pki"))
        components = renderer.render(name)
        secrets.update(renderer.secrets)
        return components

    return once


def contents(components: list[dict[str, Any]]) -> dict[str, Any]:
    """Texts by path."""
    return {file["dest"]: file["content"] for component in components for file in component["files"]}


@pytest.mark.usefixtures("role")
def test_everything_is_filled_in(render: Render) -> None:
    """Defaults of files, folders, units; the unit file comes last; it is plain data."""
    (component,) = render()
    common = {"secret": False, "owner": "root", "group": "root", "mode": "0644", "restarts": None}
    unit = "[Service]\nExecStart=/usr/local/bin/toy\n"
    assert component == {
        "name": "toy",
        "packages": [],
        "user": None,
        "binaries": [],
        "directories": [],
        "files": [
            {"dest": "/etc/toy/toy.ini", "content": "port=80\ngreeting=hello\n", **common},
            {"dest": "/etc/systemd/system/toy.service", "content": unit, **common},
        ],
        "unit": {"name": "toy.service", "content": unit, "reload": False},
        "first_start": None,
        "health": {"url": "http://127.0.0.1:80/health"},
        "tls": [],
        "rolling": False,
        "leaves": {},
    }
    assert json.loads(json.dumps(component)) == component


# ---- variables
def test_the_users_variables_win_over_defaults_and_vars_over_both(role: Role, render: Render) -> None:
    """As in any role."""
    role.text("templates/etc/toy.ini.j2", "{{ toy_port }} {{ toy_greeting }} {{ __toy_own }}")
    role.write("vars/main.yml", {"__toy_own": "mine", "toy_component": COMPONENT})
    got = contents(render(toy_greeting="good morning", __toy_own="theirs"))
    assert got["/etc/toy/toy.ini"] == "80 good morning mine"


def test_variables_may_be_templates_of_each_other(role: Role, render: Render) -> None:
    """What the role itself wrote is a template; so is the name of the role."""
    role.write("defaults/main.yml", {"toy_greeting": "{{ toy_word }} from {{ role_name }}", "toy_word": "hello"})
    assert "greeting=hello from toy" in contents(render())["/etc/toy/toy.ini"]


@pytest.mark.usefixtures("role")
def test_what_hosts_say_is_no_template(render: Render) -> None:
    """Only what Ansible trusts is evaluated: an answer of a host could hold anything."""
    got = contents(render(toy_greeting="{{ lookup('pipe', 'id') }}"))
    assert got["/etc/toy/toy.ini"] == "port=80\ngreeting={{ lookup('pipe', 'id') }}\n"


def test_values_have_the_type_of_their_spec(role: Role, render: Render) -> None:
    """Extra variables of the command line are texts."""
    role.text("templates/etc/toy.ini.j2", "{{ toy_port + 1 }} {{ toy_names | length }} {{ toy_debug is false }}")
    got = contents(render(toy_port="8080", toy_names="a,b", toy_debug="no"))
    assert got["/etc/toy/toy.ini"] == "8081 2 True"


@pytest.mark.usefixtures("role")
def test_all_wrong_types_are_reported_together(render: Render) -> None:
    """One run, one list."""
    with pytest.raises(AnsibleError) as caught:
        render(toy_port="eighty", toy_debug="perhaps", toy_names={"a": 1})
    text = str(caught.value)
    assert text.startswith("role toy: ")
    for name in ("toy_port", "toy_debug", "toy_names"):
        assert f"'{name}'" in text
    assert len(text.split("; ")) == 3


def test_an_undefined_variable_is_an_error(role: Role, render: Render) -> None:
    """Never an empty word in a file."""
    role.text("templates/etc/toy.ini.j2", "{{ toy_prot }}")
    with pytest.raises(AnsibleError, match="'toy_prot' is undefined"):
        render()


def test_one_roles_variables_do_not_reach_another(role: Role, render: Render, tmp_path: Path) -> None:
    """Roles of a host are rendered one after another."""
    other = Role(tmp_path / "roles", "other")
    other.text("templates/etc/toy.ini.j2", "{{ __toy_own | default('nothing') }}")
    other.write("defaults/main.yml", {})
    role.write("vars/main.yml", {"__toy_own": "mine", "toy_component": COMPONENT})
    render("toy")
    assert contents(render("other", toy_port=1))["/etc/toy/toy.ini"] == "nothing"


# ---- files
def test_templates_keep_their_last_line_end_and_blocks_leave_no_line(role: Role, render: Render) -> None:
    """As the template module does; backslashes stay."""
    role.text("templates/etc/toy.ini.j2", "{% if toy_port %}\na \\\n  --b=c\\d\n{% endif %}\nend\n\n")
    assert contents(render())["/etc/toy/toy.ini"] == "a \\\n  --b=c\\d\nend\n\n"


def test_backslashes_in_expressions_are_jinjas(role: Role, render: Render) -> None:
    """As in a template file, not as in a YAML value: units join their flags over lines with this."""
    role.text("templates/etc/toy.ini.j2", r"{{ ['a', 'b'] | join(' \\\n  ') }}")
    assert contents(render())["/etc/toy/toy.ini"] == "a \\\n  b"


def test_templates_may_include_others_of_the_role(role: Role, render: Render) -> None:
    """From its own folder."""
    role.text("templates/etc/toy.ini.j2", "{% include 'part.j2' %}")
    role.text("templates/part.j2", "part of {{ toy_port }}")
    assert contents(render())["/etc/toy/toy.ini"] == "part of 80"


def test_secrets_go_apart(role: Role, render: Render, secrets: dict[str, str], tmp_path: Path) -> None:
    """Keys by their name, others when they say so; they belong to the service's user unless someone is named."""
    (tmp_path / "pki" / "certs").mkdir(parents=True)
    (tmp_path / "pki" / "certs" / "toy.key").write_text("KEY\n", encoding="ascii")
    (tmp_path / "pki" / "certs" / "toy.crt").write_text("CERT\n", encoding="ascii")
    files = [
        {"dest": "/a.crt", "pki": "certs/toy.crt"},
        {"dest": "/a.key", "pki": "certs/toy.key"},
        {"dest": "/b.key", "pki": "certs/toy.key", "owner": "root", "mode": "0640", "restarts": ""},
        {"dest": "/c", "content": "password={{ toy_greeting }}", "secret": True},
        {"dest": "/d.key", "pki": "certs/toy.key", "secret": False},
    ]
    role.component(**{**COMPONENT, "user": "toy", "files": files})
    components = render(toy_greeting="hunter2")
    (component,) = components
    seen = {file["dest"]: (file["secret"], file["owner"], file["group"], file["mode"]) for file in component["files"]}
    assert seen == {
        "/a.crt": (False, "root", "root", "0644"),
        "/a.key": (True, "toy", "toy", "0600"),
        "/b.key": (True, "root", "toy", "0640"),
        "/c": (True, "toy", "toy", "0600"),
        "/d.key": (False, "root", "root", "0644"),
        "/etc/systemd/system/toy.service": (False, "root", "root", "0644"),
    }
    assert component["user"] == {"name": "toy", "home": "/nonexistent", "shell": "/usr/sbin/nologin"}
    assert {dest: base64.b64decode(text).decode() for dest, text in secrets.items()} == {
        "/a.key": "KEY\n",
        "/b.key": "KEY\n",
        "/c": "password=hunter2",
    }
    assert contents(components) == {
        **dict.fromkeys(("/a.key", "/b.key", "/c")),
        "/a.crt": "CERT\n",
        "/d.key": "KEY\n",
        "/etc/systemd/system/toy.service": "[Service]\nExecStart=/usr/local/bin/toy\n",
    }
    assert "hunter2" not in json.dumps(components)


def test_a_certificate_that_was_not_issued(role: Role, render: Render) -> None:
    """Says who issues it."""
    role.component(**{**COMPONENT, "files": [{"dest": "/a", "pki": "certs/toy.crt"}]})
    with pytest.raises(AnsibleError, match=r"pki/certs/toy\.crt: No such file or directory; the pki role issues it"):
        render()


@pytest.mark.parametrize(
    "file",
    [
        {"dest": "/a"},
        {"dest": "/a", "content": "x", "template": "etc/toy.ini.j2"},
        {"dest": "/a", "content": "x", "src": "y"},
        {"dest": "/a", "content": "x", "permissions": "0644"},
    ],
)
def test_files_that_cannot_be_meant(role: Role, render: Render, file: dict[str, str]) -> None:
    """The error has the file and what it may have."""
    role.component(**{**COMPONENT, "files": [file]})
    with pytest.raises(AnsibleError, match=r"role toy: file /a needs exactly one of template, content and pki, and no"):
        render()


def test_unknown_keys_are_refused(role: Role, render: Render) -> None:
    """A misspelt one would silently do nothing."""
    role.component(**COMPONENT, helth={}, binarys=[])
    with pytest.raises(AnsibleError, match="role toy: unknown keys in its component: binarys, helth"):
        render()


@pytest.mark.parametrize(
    "change", [{"first_start": "join toy"}, {"first_start": []}, {"first_start": ["join", 1]}, {"unit": None}]
)
def test_first_starts_that_cannot_be_meant(role: Role, render: Render, change: dict[str, Any]) -> None:
    """A command that starts a unit."""
    role.component(**{**COMPONENT, "first_start": ["/usr/local/libexec/join", "{{ toy_greeting }}"], **change})
    with pytest.raises(AnsibleError, match="role toy: `first_start` is a command, as a list of words, that starts its"):
        render()


def test_first_start(role: Role, render: Render) -> None:
    """A command with the role's variables."""
    role.component(**COMPONENT, first_start=["/usr/local/libexec/join", "{{ toy_greeting }}"])
    assert render()[0]["first_start"] == ["/usr/local/libexec/join", "hello"]


# ---- the rest of a component
def test_binaries(role: Role, render: Render) -> None:
    """By name, or with a place of their own; digest, size and version are the artifact's."""
    role.component(**{**COMPONENT, "binaries": ["toy", {"name": "toy", "dest": "/opt/toy"}]})
    (component,) = render()
    artifact = {"name": "toy", "sha256": "a" * 64, "size": 7, "version": "1.0"}
    assert component["binaries"] == [{**artifact, "dest": "/usr/local/bin/toy"}, {**artifact, "dest": "/opt/toy"}]


def test_a_binary_that_nobody_has(role: Role, render: Render) -> None:
    """Says whose business that is."""
    role.component(**{**COMPONENT, "binaries": ["other"]})
    with pytest.raises(AnsibleError, match="role toy: no artifact `other` for this host's architecture; the artifacts"):
        render()


def test_units_of_the_distribution_and_components_without_one(role: Role, render: Render) -> None:
    """The first has no file of ours, the second nothing to start."""
    role.component(
        {"name": "files-only", "files": [{"dest": "/a", "content": "x"}], "directories": [{"path": "/b"}]},
        name="toy",
        unit={"name": "nginx.service", "reload": True},
        rolling=True,
        packages=["nginx"],
        user="toy",
        user_home="/var/lib/toy",
        user_shell="/bin/sh",
    )
    service, files_only = render()
    assert service["unit"] == {"name": "nginx.service", "content": None, "reload": True}
    assert (service["files"], service["rolling"], service["packages"]) == ([], True, ["nginx"])
    assert service["user"] == {"name": "toy", "home": "/var/lib/toy", "shell": "/bin/sh"}
    assert (files_only["unit"], files_only["health"]) == (None, None)
    assert files_only["directories"] == [{"path": "/b", "owner": "root", "group": "root", "mode": "0755"}]


def test_a_role_without_a_component(role: Role, render: Render) -> None:
    """It is no role of this kind."""
    role.write("vars/main.yml", {"something": "else"})
    with pytest.raises(AnsibleError, match=r"role toy: vars/main\.yml has no `toy_component`"):
        render()


# ---- where roles are found
def test_roles_beside_the_playbook_come_first(role: Role, render: Render, tmp_path: Path) -> None:
    """Then those of the roles path, at last ours; a full name works too."""
    other = Role(tmp_path / "others")
    other.text("templates/etc/toy.ini.j2", "the other")
    assert contents(render())["/etc/toy/toy.ini"] != "the other"
    for path in sorted(role.folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert contents(render())["/etc/toy/toy.ini"] == "the other"
    assert contents(render("user.collection.toy"))["/etc/toy/toy.ini"] == "the other"
    (tmp_path / "pki" / "ca").mkdir(parents=True)
    (tmp_path / "pki" / "ca" / "kubernetes.crt").write_text("CA\n", encoding="ascii")
    (ours,) = render("loadbalancer", loadbalancer_servers=[], loadbalancer_public=False)
    assert ours["name"] == "kube-loadbalancer"


def test_a_role_that_is_nowhere(render: Render, tmp_path: Path) -> None:
    """Says where it was looked for."""
    with pytest.raises(
        AnsibleError, match=rf"role nothing is in none of {tmp_path}/roles, {tmp_path}/others, .*/roles"
    ):
        render("nothing")
