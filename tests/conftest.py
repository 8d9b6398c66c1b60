# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of a running lab share: LAB names its inventory. They use namespaces of their own, and clean up."""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Where scripts/setup.sh puts this checkout for Ansible.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / ".lab" / "collections"))

if TYPE_CHECKING:
    from ansible_collections.selfhosted.kubernetes.tests.lab.load import Load
    from ansible_collections.selfhosted.kubernetes.tests.lab.support import Lab


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of the lab that asks for a master, node or machine runs for each."""
    if "lab" not in metafunc.fixturenames:
        return
    # Not above: it asks Ansible for the lab's inventory, which unit tests can do without.
    from ansible_collections.selfhosted.kubernetes.tests.lab import support  # noqa: PLC0415

    kinds = {"master": support.MASTERS, "node": support.NODES, "machine": support.MACHINES}
    for kind, names in kinds.items():
        if kind in metafunc.fixturenames:
            metafunc.parametrize(kind, names)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The machines, reached over ssh."""
    from ansible_collections.selfhosted.kubernetes.tests.lab.support import Lab  # noqa: PLC0415

    # A short path: it ends in the name of a socket.
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        lab = Lab(Path(folder))
        yield lab
        lab.close()


@pytest.fixture(scope="module")
def namespace(lab: Lab) -> Iterator[str]:
    """A namespace that is gone after the module's tests."""
    name = f"lab-test-{secrets.token_hex(3)}"
    lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"lab-test": ""}}})
    yield name
    # Pods first, until they are gone: one that is still ending would hold up the drain of another module's test.
    lab.kubectl(f"delete deployment,pod --namespace={name} --all --timeout=60s")
    lab.kubectl(f"delete namespace {name} --wait=false --ignore-not-found")


@pytest.fixture(scope="module")
def users(lab: Lab, namespace: str) -> Iterator[Load]:
    """At work during all of a module's tests that ask for them."""
    from ansible_collections.selfhosted.kubernetes.tests.lab.load import load  # noqa: PLC0415

    with load(lab, namespace) as users:
        yield users
