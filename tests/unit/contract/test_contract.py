# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the whole repository, checked without a host. A rule that is broken names file and line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from jinja2 import meta

ROOT = Path(__file__).resolve().parents[3]
COLLECTION = "selfhosted.kubernetes"
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))

# ---- the rules, as data
MAX_LINES_OF_MAIN = 40  # roles/*/tasks/main.yml
MAX_TASKS_OF_ROLE = 5
MAX_LINES_OF_PLAYBOOK = 60  # without comments and empty lines
MAX_INCLUDE_DEPTH = 2  # tasks/main.yml and one file
MAX_BYTES_OF_FILE = 200_000
LARGE_FILES = {"go.sum"}
# What one role registers for the defaults of all others, and who that is.
SHARED = {"cluster_derived": "cluster", "cluster_host": "cluster", "cluster_artifacts": "artifacts"}
# Only the cluster action reads the inventory as a whole.
INVENTORY = {"groups", "hostvars"}
FORBIDDEN_KEYS = {
    "ignore_errors": "it hides what went wrong: let a module answer instead",
    "ansible.builtin.shell": "use a module, or ansible.builtin.command with argv",
    "shell": "use a module, or ansible.builtin.command with argv",
}
EXPRESSIONS = {"when", "changed_when", "failed_when", "until", "that", "loop", "with_items", "var"}
CACHES = [
    *(".lab/x", ".venv/x", ".ansible/x", ".mypy_cache/x", ".ruff_cache/x", ".pytest_cache/x", ".hypothesis/x"),
    *("plugins/__pycache__/x.pyc", "tests/unit/__pycache__/x.pyc", "tests/output/x", "selfhosted-kubernetes-9.tar.gz"),
]
# Paths of machines on which this was made. (In two parts, so that this line is none of them.)
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/" + r"(work/(main|shared)|tmp/s)\b")
# What is known to break a rule, and why. An entry that is no longer needed is an error, too.
EXCEPTIONS = {
    (
        "playbook_size",
        "playbooks/lab_create.yml",
    ): "machines are made once, by hosts of no other kind: no role to share",
    (
        "foreign_variable",
        "roles/artifacts/defaults/main.yml `artifact_store_root`",
    ): "to come from cluster_derived.store",
    ("playbook_size", "playbooks/site.yml"): "one line too many; to be shortened, not to grow",
}


# ---- reading
def relative(path: Path) -> str:
    """As a person would write it."""
    return str(path.relative_to(ROOT))


@cache
def load(path: Path) -> Any:
    """A YAML file, None without one."""
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None


@cache
def tracked() -> tuple[Path, ...]:
    """Files in git, and new ones that are not ignored."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return tuple(path for name in names if name and (path := ROOT / name).is_file())


def nodes(path: Path) -> Iterator[tuple[str, yaml.Node, int]]:
    """Every mapping's keys and every value of a YAML file: key, value, line."""

    def walk(node: yaml.Node, key: str) -> Iterator[tuple[str, yaml.Node, int]]:
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                yield str(name.value), value, name.start_mark.line + 1
                yield from walk(value, str(name.value))
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                yield from walk(value, key)
        else:
            yield f"{key}[]", node, node.start_mark.line + 1

    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    if root is not None:
        yield from walk(root, "")


def tasks_of(path: Path) -> Iterator[dict[str, Any]]:
    """All tasks of a file, those in blocks and blocks themselves included; of a playbook those of its plays."""

    def flat(entries: Any) -> Iterator[dict[str, Any]]:
        for entry in entries or []:
            if "hosts" not in entry and "import_playbook" not in str(list(entry)):
                yield entry
            for part in ("block", "rescue", "always", "pre_tasks", "tasks", "post_tasks", "handlers"):
                yield from flat(entry.get(part))

    yield from flat(load(path))


@cache
def names_in(path: Path) -> tuple[tuple[str, int], ...]:
    """Variables that Jinja in a file reads, and those that `vars` and the like set for others, with their lines."""
    found: list[tuple[str, int]] = []
    if path.suffix == ".j2":
        text = path.read_text(encoding="utf-8")
        return tuple((name, line_of(text, name)) for name in undeclared(text))
    for key, node, line in nodes(path):
        if isinstance(node, yaml.ScalarNode) and key.endswith("[]"):
            text = str(node.value)
            if key.removesuffix("[]") in EXPRESSIONS and "{{" not in text and "{%" not in text:
                text = "{{ " + text + " }}"
            found += [(name, line + line_of(text, name) - 1) for name in undeclared(text)]
        elif key in ("vars", "ansible.builtin.set_fact") and isinstance(node, yaml.MappingNode):
            found += [(str(name.value), name.start_mark.line + 1) for name, _ in node.value]
    return tuple(found)


class AnyName(dict[str, Any]):
    """Filters and tests of Ansible and of us, which Jinja alone does not know."""

    def get(self, key: str, default: Any = None) -> Any:
        """Something for each name."""
        return super().get(key, default or str)


ENVIRONMENT = jinja2.Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"], autoescape=False)
ENVIRONMENT.filters = AnyName(ENVIRONMENT.filters)
ENVIRONMENT.tests = AnyName(ENVIRONMENT.tests)


def undeclared(text: str) -> list[str]:
    """Names that a template takes from outside."""
    if "{{" not in text and "{%" not in text:
        return []
    return sorted(meta.find_undeclared_variables(ENVIRONMENT.parse(text)))


def line_of(text: str, name: str) -> int:
    """First line in which a name stands."""
    found = re.search(rf"\b{name}\b", text)
    return text[: found.start()].count("\n") + 1 if found else 1


def owner(name: str) -> str:
    """The role whose prefix a variable has, empty without one."""
    bare = name.lstrip("_")
    fitting = [role for role in ROLES if bare.startswith(f"{role}_")]
    return max(fitting, key=len, default="")


def role_files(role: str) -> list[Path]:
    """What Ansible reads of a role: YAML in tasks, defaults, vars and handlers, and templates."""
    folder = ROOT / "roles" / role
    parts = [path for part in ("tasks", "defaults", "vars", "handlers") for path in (folder / part).rglob("*.yml")]
    return sorted([*parts, *(folder / "templates").rglob("*.j2")])


def report(broken: list[str]) -> None:
    """Fail with all that is wrong, a line each."""
    assert not broken, "\n" + "\n".join(sorted(broken))


def excepted(rule: str, broken: dict[str, str], within: str) -> list[str]:
    """What is broken below a folder without being an exception, and exceptions that are none."""
    allowed = {name for kind, name in EXCEPTIONS if kind == rule and name.startswith(f"{within}/")}
    unused = [f"{name} is no exception from `{rule}` any more: remove it" for name in allowed - broken.keys()]
    return [text for name, text in broken.items() if name not in allowed] + unused


# ---- a role's contract with its users
@pytest.mark.parametrize("role", ROLES)
def test_specs_and_defaults_have_the_same_keys(role: str) -> None:
    """What is documented can be set, and what can be set is documented, with the same default."""
    spec_path, defaults_path = (
        ROOT / "roles" / role / part for part in ("meta/argument_specs.yml", "defaults/main.yml")
    )
    options = {
        name: option
        for entry in load(spec_path)["argument_specs"].values()
        for name, option in (entry.get("options") or {}).items()
    }
    defaults = load(defaults_path) or {}
    lines = {name: line for name, _, line in nodes(defaults_path)} if defaults_path.is_file() else {}
    spec_lines = {name: line for name, _, line in nodes(spec_path)}
    where, spec = relative(defaults_path), relative(spec_path)
    broken = [f"{where}:{lines[name]}: `{name}` is not in {spec}" for name in defaults.keys() - options.keys()]
    broken += [
        f"{spec}:{spec_lines[name]}: `{name}` has no default in {where}" for name in options.keys() - defaults.keys()
    ]
    broken += [
        f"{where}:{lines[name]}: `{name}` is {defaults[name]!r}, but {option['default']!r} in {spec}:{spec_lines[name]}"
        for name, option in options.items()
        if "default" in option and name in defaults and option["default"] != defaults[name]
    ]
    report(broken)


def untyped(options: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Options without type or description, at all depths: name and what is missing."""
    for name, option in options.items():
        yield from ((name, f"`{path}{name}` has no {key}") for key in ("type", "description") if not option.get(key))
        if option.get("type") == "list" and "elements" not in option:
            yield name, f"`{path}{name}` is a list without elements"
        yield from untyped(option.get("options") or {}, f"{path}{name}.")


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_typed_and_described(role: str) -> None:
    """And has the role's prefix."""
    path = ROOT / "roles" / role / "meta" / "argument_specs.yml"
    lines = {name: line for name, _, line in nodes(path)}
    broken = []
    for entry in load(path)["argument_specs"].values():
        options = entry.get("options") or {}
        if not entry.get("short_description"):
            broken.append(f"{relative(path)}:1: has no short_description")
        broken += [f"{relative(path)}:{lines[name]}: {problem}" for name, problem in untyped(options, "")]
        broken += [
            f"{relative(path)}:{lines[name]}: `{name}` has not its role's prefix"
            for name in options
            if owner(name) != role
        ]
    report(broken)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_its_own_variables_only(role: str) -> None:
    """Others' prefixes and the inventory belong to others; what is shared is read by defaults."""
    broken = {}
    for path in role_files(role):
        for name, line in names_in(path):
            if problem := why_not(name, role, path.parent.name == "defaults"):
                broken[f"{relative(path)} `{name}`"] = f"{relative(path)}:{line}: {problem}"
    report(excepted("foreign_variable", broken, f"roles/{role}"))


def why_not(name: str, role: str, in_defaults: bool) -> str:
    """Why a role may not read a variable, empty when it may."""
    if name in SHARED:
        allowed = in_defaults or SHARED[name] == role
        return "" if allowed else f"only defaults/main.yml may read `{name}`: give the role an argument of its own"
    if name in INVENTORY and role != "cluster":
        return f"`{name}` is read by the role cluster alone"
    return f"`{name}` belongs to the role {owner(name)}" if owner(name) not in ("", role) else ""


# ---- form
@pytest.mark.parametrize("folder", ["roles", "playbooks"])
def test_errors_are_not_switched_off(folder: str) -> None:
    """No ignore_errors, failed_when: false, or shell; tasks_from has no extension (it would skip the argument spec)."""
    broken = []
    paths = [path for path in (ROOT / folder).rglob("*.yml") if path.parent.name in ("tasks", "handlers", "playbooks")]
    for path in sorted(paths):
        for key, node, line in nodes(path):
            where = f"{relative(path)}:{line}"
            if key in FORBIDDEN_KEYS:
                broken.append(f"{where}: `{key}`: {FORBIDDEN_KEYS[key]}")
            if key == "failed_when" and str(node.value).lower() in ("false", "no"):
                broken.append(f"{where}: `failed_when: false`: {FORBIDDEN_KEYS['ignore_errors']}")
            if key == "tasks_from" and "." in str(node.value):
                broken.append(f"{where}: `tasks_from` takes a name without extension")
    report(broken)


def includes(path: Path) -> Iterator[tuple[Path, str]]:
    """Files that a file of tasks includes, of its own role or of another, and how it is written."""
    for task in tasks_of(path):
        for key, value in task.items():
            action = key.rpartition(".")[2]
            if action in ("include_tasks", "import_tasks"):
                name = value if isinstance(value, str) else value["file"]
                yield path.parent / name, name
            elif action in ("include_role", "import_role"):
                role = value["name"].rpartition(".")[2]
                entry = value.get("tasks_from", "main")
                yield ROOT / "roles" / role / "tasks" / f"{entry}.yml", f"{role}/{entry}"


def deepest(path: Path, above: tuple[Path, ...] = ()) -> tuple[Path, ...]:
    """The longest chain of includes from a file on."""
    chain = (*above, path)
    if path in above:
        return chain
    return max([chain, *(deepest(other, chain) for other, _ in includes(path))], key=len)


@pytest.mark.parametrize("role", ROLES)
def test_includes_are_shallow(role: str) -> None:
    """What runs is found by opening two files."""
    chains = [deepest(path) for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))]
    report([" -> ".join(map(relative, chain)) for chain in chains if len(chain) > MAX_INCLUDE_DEPTH])


@pytest.mark.parametrize("role", ROLES)
def test_roles_are_small(role: str) -> None:
    """A role is data; the mechanism is elsewhere."""
    folder = ROOT / "roles" / role / "tasks"
    main = folder / "main.yml"
    assert main.is_file(), f"{relative(main)} is missing"
    length = len(main.read_text(encoding="utf-8").splitlines())
    assert length <= MAX_LINES_OF_MAIN, f"{relative(main)}:{length}: more than {MAX_LINES_OF_MAIN} lines"
    count = sum(1 for path in folder.rglob("*.yml") for _ in tasks_of(path))
    assert count <= MAX_TASKS_OF_ROLE, f"roles/{role}/tasks: {count} tasks, at most {MAX_TASKS_OF_ROLE}"


def test_playbooks_are_small() -> None:
    """A playbook is an order of roles, never a place of logic."""
    broken = {}
    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        lines = [
            line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and line.strip()[0] != "#"
        ]
        if len(lines) > MAX_LINES_OF_PLAYBOOK:
            broken[relative(path)] = f"{relative(path)}: {len(lines)} lines, at most {MAX_LINES_OF_PLAYBOOK}"
    report(excepted("playbook_size", broken, "playbooks"))


def test_no_machine_path_and_no_large_file() -> None:
    """The repository works anywhere, and holds no binary."""
    broken = []
    for path in tracked():
        size = path.stat().st_size
        if size > MAX_BYTES_OF_FILE and path.name not in LARGE_FILES:
            broken.append(f"{relative(path)}: {size} bytes, at most {MAX_BYTES_OF_FILE}")
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if MACHINE_PATHS.search(line):
                broken.append(f"{relative(path)}:{number}: names a path of one machine: {line.strip()}")
    report(broken)


# ---- Ansible's own view
@pytest.fixture(scope="module")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Runs a command of Ansible somewhere else, with the collection found as one that is installed."""
    folder = tmp_path_factory.mktemp("ansible")
    link = folder / "ansible_collections" / "selfhosted" / "kubernetes"
    link.parent.mkdir(parents=True)
    link.symlink_to(ROOT)
    (folder / "ansible.cfg").write_text("[defaults]\n", encoding="ascii")
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_NOCOLOR": "1",
    }

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).parent / str(command[0])
        arguments = [str(program), *map(str, command[1:])]
        return subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    yield run
    link.unlink()


def test_every_playbook_can_be_called_by_its_full_name(ansible: Any) -> None:
    """All in one run, which says which is wrong."""
    names = [f"{COLLECTION}.{name}" for name in PLAYBOOKS]
    done = ansible("ansible-playbook", "-i", ROOT / "inventories" / "lab", "--syntax-check", *names)
    assert done.returncode == 0, done.stderr
    missing = [name for name in PLAYBOOKS if f"/selfhosted/kubernetes/playbooks/{name}.yml\n" not in done.stdout]
    assert not missing, f"{done.stdout}{done.stderr}"


def test_every_module_is_documented(ansible: Any) -> None:
    """An action, too, by the module of its name."""
    names = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
    actions = {path.stem for path in (ROOT / "plugins" / "action").glob("*.py")}
    assert actions <= set(names), f"actions without a documented module: {actions - set(names)}"
    done = ansible("ansible-doc", "--type", "module", "--json", *(f"{COLLECTION}.{name}" for name in names))
    assert done.returncode == 0, done.stderr
    broken = []
    for name, answer in json.loads(done.stdout).items():
        where = f"plugins/modules/{name.rpartition('.')[2]}.py"
        broken += [f"{where}: no {part}" for part in ("doc", "examples") if not answer.get(part)]
        broken += [
            f"{where}: `{option}` has no type"
            for option, it in answer["doc"].get("options", {}).items()
            if "type" not in it
        ]
    assert len(json.loads(done.stdout)) == len(names)
    report(broken)


def test_every_filter_is_documented(ansible: Any) -> None:
    """All that plugins/filter offers."""
    listed = ansible("ansible-doc", "--type", "filter", "--list", "--json", COLLECTION)
    assert listed.returncode == 0, listed.stderr
    names = list(json.loads(listed.stdout))
    done = ansible("ansible-doc", "--type", "filter", "--json", *names)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    report([f"plugins/filter: `{name}` is not documented" for name in names if not answers.get(name, {}).get("doc")])
    assert len(names) >= 4


def test_a_built_collection_has_no_caches(ansible: Any, tmp_path: Path) -> None:
    """Nothing that tests, linters and the lab leave in the checkout is shipped."""
    source = tmp_path / "source"
    for name in CACHES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("a cache", encoding="ascii")
    for name in ("galaxy.yml", "README.md", "LICENSE", "meta/runtime.yml"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    done = ansible("ansible-galaxy", "collection", "build", "--output-path", tmp_path, source)
    assert done.returncode == 0, done.stderr
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        files = {name for member in archive if member.isfile() for name in [member.name]}
    assert files == {"MANIFEST.json", "FILES.json", "README.md", "LICENSE", "meta/runtime.yml"}
