# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the whole repository, checked without a host. What breaks a rule is named by file and line."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jinja2
import jinja2.meta
import pytest
import yaml
from ansible.plugins.action import ActionBase
from ansible_collections.selfhosted.kubernetes.plugins.filter.config import FilterModule
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.derive import (
    COMPONENTS,
    OUTSIDE_SERVICES,
    derive,
)
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import Host, Inventory, Settings
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.ports import PORTS

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = ROOT / "plugins/plugin_utils/_cluster"
PLUGINS = "ansible_collections.selfhosted.kubernetes.plugins"
ROLES = {path.name: path for path in sorted((ROOT / "roles").iterdir()) if path.is_dir()}
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Run = Callable[..., str]

# ---- the rules, as data
MAX_LINES_OF_MAIN, MAX_TASKS_OF_ROLE, MAX_LINES_OF_PLAYBOOK = 40, 5, 110
MAX_INCLUDE_DEPTH = 2  # tasks/main.yml and one file
MAX_BYTES, LARGE_FILES = 200_000, {"go.sum", "LICENSE"}
# What one role registers for the defaults of all others, and which role that is.
SHARED = {"cluster_derived": "cluster", "cluster_host": "cluster", "cluster_artifacts": "artifacts"}
INVENTORY = {"groups", "hostvars"}  # Only the cluster action reads the inventory as a whole.
HIDES = "it hides what went wrong: let a module answer instead"
SHELL = "use a module, or ansible.builtin.command with argv"
FORBIDDEN = {"ignore_errors": HIDES, "ansible.builtin.shell": SHELL, "ansible.legacy.shell": SHELL, "shell": SHELL}
EXPRESSIONS = {"when", "changed_when", "failed_when", "until", "that", "loop", "var"}
HOST = re.compile(r"(?<=^certs/)[a-z]\d(?=/)")  # The small inventory's hosts.
# Not below a folder whose name is computed, as a temporary one in an f-string: that is no path of a machine.
MACHINE_PATH = re.compile(r"(^|[^A-Za-z0-9._})-])/(work|farm)/[a-z]|/tmp" + r"/s\b")
CACHES = [
    *(".lab/x", ".venv/x", ".ansible/x", ".mypy_cache/x", ".ruff_cache/x", ".pytest_cache/x", ".hypothesis/x"),
    *(
        "plugins/__pycache__/x.pyc",
        "tests/unit/__pycache__/x.pyc",
        "tests/output/x",
        "kubectl/build/x",
        "kubectl/a.egg-info/x",
        "selfhosted-kubernetes-9.tar.gz",
    ),
]
# Variables that a file may name against a rule, and why; one that is needed no more is an error, too.
EXCEPTIONS = {
    (ROOT / "roles/artifacts/defaults/main.yml", "artifact_store_root"): "to come from cluster_derived.store",
}


# ---- reading
class Findings(list[tuple[Path, int, str]]):
    """What breaks a rule; at the end of the test all of it is reported, a line each."""

    def add(self, path: Path, line: int, text: str) -> None:
        """One more."""
        self.append((path, line, text))


@pytest.fixture
def found() -> Iterator[Findings]:
    """Empty, and to be left empty."""
    findings = Findings()
    yield findings
    lines = [f"{path.relative_to(ROOT)}:{line}: {text}" for path, line, text in sorted(set(findings))]
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


@cache
def load(path: Path) -> Any:
    """A YAML file, an empty dictionary without one."""
    return yaml.load(path.read_text(encoding="utf-8"), LOADER) if path.is_file() else {}


@cache
def nodes(path: Path) -> tuple[tuple[str, yaml.Node, int], ...]:
    """Every key of a YAML file with value and line, at all depths; scalars of a list with the key of the list."""

    def walk(node: yaml.Node, key: str) -> Iterator[tuple[str, yaml.Node, int]]:
        for entry in node.value if isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) else ():
            name, value = entry if isinstance(entry, tuple) else (None, entry)
            if name or isinstance(value, yaml.ScalarNode):
                yield name.value if name else key, value, (name or value).start_mark.line + 1
            yield from walk(value, name.value if name else key)

    root = yaml.compose(path.read_text(encoding="utf-8"), LOADER) if path.suffix == ".yml" else None
    return tuple(walk(root, "")) if root else ()


def lines(path: Path) -> dict[str, int]:
    """The line of each key, the first where there are several."""
    return {key: line for key, _, line in reversed(nodes(path))}


def set_for_others(path: Path) -> Iterator[tuple[str, int]]:
    """Variables that tasks of a file set or register, with their lines."""
    for key, node, line in nodes(path):
        if key in ("vars", "ansible.builtin.set_fact") and isinstance(node, yaml.MappingNode):
            yield from ((name.value, name.start_mark.line + 1) for name, _ in node.value)
        elif key == "register":
            yield node.value, line


def tasks_of(entries: Any) -> Iterator[dict[str, Any]]:
    """All tasks, blocks and those in them."""
    for entry in entries or []:
        yield entry
        for part in ("block", "rescue", "always"):
            yield from tasks_of(entry.get(part))


class AnyName(dict[str, Any]):
    """Filters and tests of Ansible and of us, which Jinja alone does not know."""

    def get(self, key: str, default: Any = None) -> Any:
        """Something for each name."""
        return super().get(key, default or str)


JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"], autoescape=False)
JINJA.filters, JINJA.tests = AnyName(JINJA.filters), AnyName(JINJA.tests)


def used(path: Path) -> Iterator[tuple[str, int]]:
    """Variables that expressions of a file read, with their lines."""
    texts = [(path.read_text(encoding="utf-8"), 1)] if path.suffix == ".j2" else []
    for key, node, _ in nodes(path):
        if isinstance(node, yaml.ScalarNode):
            bare = key in EXPRESSIONS and "{{" not in node.value and "{%" not in node.value
            texts.append((f"{{{{ {node.value} }}}}" if bare else node.value, node.start_mark.line + 1))
    for text, line in texts:
        for name in jinja2.meta.find_undeclared_variables(JINJA.parse(text)):
            yield name, line + re.split(rf"\b{name}\b", text, maxsplit=1)[0].count("\n")


def owner(name: str) -> str:
    """The role whose prefix a variable has, empty without one."""
    return max((role for role in ROLES if name.lstrip("_").startswith(f"{role}_")), key=len, default="")


def files(role: str) -> list[Path]:
    """What Ansible reads of a role: YAML and templates."""
    parts = ("tasks", "defaults", "vars", "handlers", "templates")
    return sorted(path for part in parts for path in (ROLES[role] / part).rglob("*") if path.suffix in (".yml", ".j2"))


def options_of(role: str) -> dict[str, Any]:
    """Options of all entry points of a role."""
    entries = load(ROLES[role] / "meta/argument_specs.yml")["argument_specs"].values()
    return {name: option for entry in entries for name, option in (entry.get("options") or {}).items()}


# ---- a role's contract with its users
@pytest.mark.parametrize("role", ROLES)
def test_specs_and_defaults_are_the_same(role: str, found: Findings) -> None:
    """What is documented can be set, what can be set is documented, with the same default."""
    spec, defaults = ROLES[role] / "meta/argument_specs.yml", ROLES[role] / "defaults/main.yml"
    options, values = options_of(role), load(defaults)
    for name in options.keys() ^ values.keys():
        path, other = (spec, defaults) if name in options else (defaults, spec)
        found.add(path, lines(path)[name], f"`{name}` is not in {other.relative_to(ROOT)}")
    for name in options.keys() & values.keys():
        if (said := options[name].get("default", values[name])) != values[name]:
            found.add(defaults, lines(defaults)[name], f"`{name}` is {values[name]!r}, but {said!r} in {spec.name}")


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_typed_described_and_has_its_roles_prefix(role: str, found: Findings) -> None:
    """So that documentation and checks can be made from specs."""
    spec = ROLES[role] / "meta/argument_specs.yml"

    def check(options: dict[str, Any]) -> None:
        for name, option in options.items():
            for key in {"type", "description", *(["elements"] if option.get("type") == "list" else [])} - option.keys():
                found.add(spec, lines(spec)[name], f"`{name}` has no {key}")
            check(option.get("options") or {})

    check(options_of(role))
    for name in (name for name in options_of(role) if owner(name) != role):
        found.add(spec, lines(spec)[name], f"`{name}` lacks the prefix {role}_")


def why_not(name: str, role: str, path: Path, defined: set[str]) -> str:
    """Why a role may not read a variable, empty when it may."""
    if name in SHARED:
        allowed = path.parent.name == "defaults" or SHARED[name] == role
        return "" if allowed else f"only defaults/main.yml may read `{name}`: give the role an argument of its own"
    if name in INVENTORY and role != "cluster":
        return f"`{name}` is read by the role cluster alone"
    if owner(name) == role:
        return "" if name in defined else f"`{name}` is defined nowhere in the role"
    return f"`{name}` belongs to the role {owner(name)}" if owner(name) else ""


def test_a_role_reads_its_own_variables_only(found: Findings) -> None:
    """Also no inventory, none that nobody defines; what roles share is read by defaults."""
    unneeded = dict(EXCEPTIONS)
    for role, folder in ROLES.items():
        given = {*load(folder / "defaults/main.yml"), *load(folder / "vars/main.yml")}
        given |= {name for path in files(role) for name, _ in set_for_others(path)}
        for path in files(role):
            for name, line in (*used(path), *set_for_others(path)):
                if (problem := why_not(name, role, path, given)) and (path, name) not in EXCEPTIONS:
                    found.add(path, line, problem)
                elif problem:
                    unneeded.pop((path, name), None)
    for path, name in unneeded:
        found.add(path, 1, f"`{name}` needs no exception any more")


# Names of plugins, as tasks and filters have them.
FULL_NAME = re.compile(r"\b(?:ansible|community|containers)\.[a-z_]+(?=\.[a-z_]+\b)")
# Those of the lab alone, which comes with a checkout.
OF_THE_LAB = {"lab_create.yml", "lab_destroy.yml"}


def test_what_comes_from_other_collections_is_declared(found: Findings) -> None:
    """The package `ansible` of the tests has more collections than what users install."""
    declared = {"ansible.builtin", "ansible.legacy", *load(ROOT / "galaxy.yml")["dependencies"]}
    playbooks = [path for path in (ROOT / "playbooks").rglob("*.yml") if path.name not in OF_THE_LAB]
    for path in [*playbooks, *(path for role in ROLES for path in files(role))]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for name in set(FULL_NAME.findall(line)) - declared:
                found.add(path, number, f"galaxy.yml has no dependency {name}")


# ---- form
def test_errors_are_not_switched_off(found: Findings) -> None:
    """No ignore_errors, failed_when: false or shell; tasks_from has no extension (it would skip the argument spec)."""
    paths = [path for role in ROLES for path in files(role) if path.parent.name in ("tasks", "handlers")]
    for path in [*PLAYBOOKS, *paths]:
        for key, node, line in nodes(path):
            value = str(node.value).lower()
            if key in FORBIDDEN or (key in ("action", "local_action") and value.split(" ")[0] in FORBIDDEN):
                found.add(path, line, f"`{key}`: {FORBIDDEN.get(key, SHELL)}")
            if key == "failed_when" and value in ("false", "no"):
                found.add(path, line, f"`failed_when: false`: {HIDES}")
            if key == "tasks_from" and "." in value:
                found.add(path, line, "`tasks_from` takes a name without extension")


def depth(path: Path, above: tuple[Path, ...] = ()) -> int:
    """Files in the longest chain of includes from a file on, also into other roles."""
    deepest = 0
    for key, value in (pair for task in tasks_of(load(path)) for pair in task.items() if path not in above):
        if (action := key.rpartition(".")[2]) in ("include_tasks", "import_tasks"):
            other = path.parent / (value if isinstance(value, str) else value["file"])
            deepest = max(deepest, depth(other, (*above, path)))
        elif action in ("include_role", "import_role"):
            other = ROLES[value["name"].rpartition(".")[2]] / "tasks" / f"{value.get('tasks_from', 'main')}.yml"
            deepest = max(deepest, depth(other, (*above, path)))
    return deepest + 1


def test_roles_and_playbooks_are_small(found: Findings) -> None:
    """A role is data, a playbook an order of roles; what runs is found by opening two files."""
    mains = [folder / "tasks/main.yml" for folder in ROLES.values()]
    for main in mains:
        paths = sorted(main.parent.rglob("*.yml"))
        if (count := sum(1 for path in paths for _ in tasks_of(load(path)))) > MAX_TASKS_OF_ROLE:
            found.add(main, 1, f"the role has {count} tasks, at most {MAX_TASKS_OF_ROLE}")
        for path in (path for path in paths if depth(path) > MAX_INCLUDE_DEPTH):
            found.add(path, 1, f"includes go deeper than {MAX_INCLUDE_DEPTH}")
    limits = [*((path, MAX_LINES_OF_MAIN) for path in mains), *((path, MAX_LINES_OF_PLAYBOOK) for path in PLAYBOOKS)]
    for path, most in limits:
        if (length := len(path.read_text(encoding="utf-8").splitlines())) > most:
            found.add(path, length, f"it has {length} lines, at most {most}")


def test_no_machine_path_and_no_large_file(found: Findings) -> None:
    """The repository works anywhere, and holds no binary."""
    names = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    ).stdout
    for path in (ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()):
        if (size := path.stat().st_size) > MAX_BYTES and path.name not in LARGE_FILES:
            found.add(path, 1, f"{size} bytes, at most {MAX_BYTES}")
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if MACHINE_PATH.search(line):
                found.add(path, number, f"names a path of one machine: {line.strip()}")


def test_units_never_give_up(found: Findings) -> None:
    """A service that restarts goes on for ever: what it waits for may come back at any time."""
    for path in ROOT.glob("roles/*/templates/etc/systemd/system/*.j2"):
        text = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(text, 1):
            if line.startswith("Restart=") and "StartLimitIntervalSec=0" not in text:
                found.add(path, number, "a unit with Restart= needs StartLimitIntervalSec=0 in [Unit]")


# ---- roles and plugins know the same cluster
@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    """Derived from a small inventory that has every group and every component."""
    groups = {"etcd": ["e1"], "masters": ["m1"], "workers": ["w1"], "outside": ["o1"], "storage": ["s1"]}
    given = {name.removeprefix("cluster_"): option.get("default") for name, option in options_of("cluster").items()}
    settings = {**given, "state_dir": "/state", "vip": "192.0.2.100", "outside_services": OUTSIDE_SERVICES}
    del settings["host_ip"]
    hosts = {names[0]: Host(names[0], f"192.0.2.{number}") for number, names in enumerate(groups.values(), 1)}
    return derive(Inventory(Settings(**settings), groups, hosts))


def render(text: str, role: str, derived: dict[str, Any]) -> str:
    """A value of a role's vars on a host that has the role."""
    hosts = derived["hosts"].items()
    host = next(name for name, it in hosts if role in (*it["components"], *it["components_late"]))
    values = {**load(ROLES[role] / "defaults/main.yml"), **load(ROLES[role] / "vars/main.yml")}
    for _ in range(5):
        text = JINJA.from_string(text).render(values, cluster_derived=derived, inventory_hostname=host)
    return text


def test_components_are_roles_and_roles_are_components(found: Findings) -> None:
    """One list says which host has what."""
    listed = {role for role, _ in COMPONENTS}
    for role in listed - ROLES.keys():
        found.add(CLUSTER / "derive.py", 1, f"component `{role}` is no role")
    for role, path in ((role, folder / "vars/main.yml") for role, folder in ROLES.items()):
        if (name := f"{role}_component") in load(path) and role not in listed:
            found.add(path, lines(path)[name], f"`{role}` is not in COMPONENTS of derive.py")
        elif name not in load(path) and role in listed:
            found.add(path, 1, f"`{name}` is missing, but derive.py says that hosts have it")


def test_optional_services_can_be_chosen() -> None:
    """Each in the option that switches them, and nothing else; each is a component."""
    option = options_of("cluster")["cluster_outside_services"]
    assert option["choices"] == list(OUTSIDE_SERVICES)
    assert set(OUTSIDE_SERVICES) <= {role for role, _ in COMPONENTS}


def test_certificates_that_roles_use_are_those_that_are_issued(cluster: dict[str, Any], found: Findings) -> None:
    """None is missing, none is issued in vain, and no CA's key goes to a host."""
    pki, ends = cluster["pki"], {"pair": (".pub", ".key"), "random": ("",)}
    issued = {f"certs/{it['name']}{end}" for it in pki["certificates"] for end in (".crt", ".key")}
    issued |= {f"keys/{it['name']}{end}" for it in pki["keys"] for end in ends[it["type"]]}
    issued |= {f"ca/{it['name']}.crt" for it in pki["cas"]}
    taken: set[str] = set()
    for role, _ in COMPONENTS:
        for path in files(role):
            text = path.read_text(encoding="utf-8").splitlines()
            looked_up = re.compile(r"pki_dir ~ '/((?:ca|certs|keys)/[^']+)'")
            wanted = [(name, number) for number, line in enumerate(text, 1) for name in looked_up.findall(line)]
            wanted += [(render(node.value, role, cluster), line) for key, node, line in nodes(path) if key == "pki"]
            taken |= {HOST.sub("HOST", name) for name, _ in wanted}
            for name, line in (pair for pair in wanted if pair[0] not in issued):
                found.add(path, line, f"`{name}` is not issued by certificates.py")
    for name in {HOST.sub("HOST", name) for name in issued} - taken:
        found.add(CLUSTER / "certificates.py", 1, f"`{name}` is issued and no role uses it")


def test_ports_are_in_the_table(cluster: dict[str, Any], found: Findings) -> None:
    """Where health is asked; and the variables that the table names are options with that default."""
    for role, _ in COMPONENTS:
        path = ROLES[role] / "vars/main.yml"
        for key, node, line in (entry for entry in nodes(path) if entry[0] in ("url", "tcp")):
            number = re.search(r":(\d+)(?:/|$)", text := render(node.value, role, cluster))
            if not number or (role, int(number[1])) not in {(port.role, port.number) for port in PORTS}:
                found.add(path, line, f"{key} {text}: its port is not in PORTS of ports.py")
    for port in (port for port in PORTS if port.variable):
        name, _, key = port.variable.partition(".")
        if options_of(port.role).get(name, {}).get("default") != ({} if key else port.number):
            found.add(CLUSTER / "ports.py", 1, f"{port.variable}: no option of {port.role} with default {port.number}")


# ---- Ansible's own view
@pytest.fixture(scope="module")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a command of Ansible somewhere else, with the collection found as one that is installed."""
    folder = tmp_path_factory.mktemp("ansible")
    link = folder / "ansible_collections" / "selfhosted" / "kubernetes"
    link.parent.mkdir(parents=True)
    link.symlink_to(ROOT)
    own = {"ANSIBLE_COLLECTIONS_PATH": str(folder), "ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_NOCOLOR": "1"}
    environment = {**{name: it for name, it in os.environ.items() if not name.startswith("ANSIBLE_")}, **own}

    def run(program: str, *arguments: str | Path) -> str:
        command = [str(Path(sys.executable).parent / program), *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield run
    link.unlink()


def test_every_playbook_can_be_called_by_its_full_name(ansible: Run, found: Findings) -> None:
    """All in one process, which is quicker than two at a time and says which is wrong."""
    names = [f"selfhosted.kubernetes.{path.stem}" for path in PLAYBOOKS]
    said = ansible("ansible-playbook", "-i", ROOT / "inventories/lab", "--syntax-check", *names)
    for path in (path for path in PLAYBOOKS if f"/kubernetes/playbooks/{path.name}\n" not in said):
        found.add(path, 1, "not found by its full name")


def shape(options: dict[str, Any] | None, nested: str) -> dict[str, Any]:
    """What documentation and code both say of options, in one form."""
    return {
        name: (
            *(it.get("type", "str"), it.get("elements"), bool(it.get("required")), it.get("default")),
            *(it.get("choices"), shape(it.get(nested), nested)),
        )
        for name, it in (options or {}).items()
    }


def implemented(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The argument spec in use: the action's where that checks arguments, else the module's."""
    spec: dict[str, Any] = {}

    def caught(*_arguments: Any, argument_spec: dict[str, Any], **_more: Any) -> None:
        spec.update(argument_spec)
        raise InterruptedError

    action = ROOT / "plugins/action" / f"{name}.py"
    with suppress(InterruptedError):
        if action.is_file() and "validate_argument_spec" in action.read_text(encoding="utf-8"):
            monkeypatch.setattr(ActionBase, "validate_argument_spec", caught)
            plugin = importlib.import_module(f"{PLUGINS}.action.{name}").ActionModule
            plugin(Mock(async_val=0, check_mode=False), *(Mock() for _ in range(5))).run(None, {})
        elif hasattr(module := importlib.import_module(f"{PLUGINS}.modules.{name}"), "main"):
            monkeypatch.setattr(module, "AnsibleModule", caught)
            module.main()
    return spec


def test_modules_are_documented_as_they_are(ansible: Run, monkeypatch: pytest.MonkeyPatch, found: Findings) -> None:
    """An action, too, by the module of its name."""
    names = sorted(
        {path.stem for part in ("modules", "action") for path in (ROOT / "plugins" / part).glob("[a-z]*.py")}
    )
    said = ansible("ansible-doc", "--type", "module", "--json", *(f"selfhosted.kubernetes.{name}" for name in names))
    for name, answer in ((name, json.loads(said)[f"selfhosted.kubernetes.{name}"]) for name in names):
        path = ROOT / "plugins/modules" / f"{name}.py"
        for part in (part for part in ("doc", "examples") if not answer[part]):
            found.add(path, 1, f"no {part}")
        documented = shape(answer["doc"].get("options"), "suboptions")
        code = shape(implemented(name, monkeypatch), "options")
        for option in documented | code:
            if (doc := documented.get(option)) != (real := code.get(option)):
                before, _, _ = path.read_text(encoding="utf-8").partition(f"\n  {option}:")
                found.add(path, before.count("\n") + 2, f"`{option}` is documented as {doc}, implemented as {real}")


def test_every_filter_is_documented(ansible: Run, found: Findings) -> None:
    """All that plugins/filter offers."""
    names = [f"selfhosted.kubernetes.{name}" for name in FilterModule().filters()]
    answers = json.loads(ansible("ansible-doc", "--type", "filter", "--json", *names))
    for name in (name for name in names if not answers.get(name, {}).get("doc")):
        found.add(ROOT / "plugins/filter/config.py", 1, f"{name} is not documented")


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/operations/*.md")), ids=lambda page: page.stem)
def test_pages_of_operations_answer_the_same_questions(page: Path) -> None:
    """Who reads one at night finds each part where it is in all others."""
    parts = re.findall(r"^(```|\*\*[A-Z][^*]*\*\*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    wanted = ["**When**", "```", "**What happens**", "**How long**", "**When it stops half-way**"]
    assert [part for part in wanted if part not in parts] == []


def test_generated_pages_are_up_to_date() -> None:
    """Roles' README files and docs/variables.md say what the argument specs say."""
    command = [sys.executable, str(ROOT / "scripts/docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_built_collection_has_no_caches(ansible: Run, tmp_path: Path) -> None:
    """Nothing that tests, linters and the lab leave in the checkout is shipped."""
    wanted = ("galaxy.yml", "README.md", "LICENSE", "meta/runtime.yml")
    for name in (*CACHES, *wanted):
        (path := tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((ROOT / name).read_bytes() if name in wanted else b"a cache")
    ansible("ansible-galaxy", "collection", "build", "--output-path", tmp_path, tmp_path / "source")
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        shipped = {member.name for member in archive if member.isfile()}
    assert shipped == {"MANIFEST.json", "FILES.json", *wanted[1:]}


def test_no_filter_loses_the_order_of_a_list() -> None:
    """Set filters of Ansible answer in an order of chance, which components, hosts and rendered files must not have."""
    sets = re.compile(r"\|\s*(?:symmetric_)?(?:difference|intersect|union)\(")
    files = [path for folder in ("playbooks", "roles") for path in (ROOT / folder).rglob("*") if path.is_file()]
    texts = {path: path.read_text(encoding="utf-8") for path in files if path.suffix in (".yml", ".j2")}
    assert len(texts) > 100
    found = [f"{path.relative_to(ROOT)}: use select or reject" for path, text in texts.items() if sets.search(text)]
    assert found == []
