# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster that is full of objects, and what these tests measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import FOLDER, OPERATOR, Lab, docker
from ansible_collections.selfhosted.kubernetes.tests.scale.machines import Figures

OBJECTS = 5000


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Of all tests."""
    return Figures(FOLDER / "backup.json")


@pytest.fixture(scope="module")
def filled(lab: Lab, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A namespace with 5,000 objects, a secret among them."""
    things = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"thing-{number}", "namespace": namespace},
            "data": {"number": str(number), "text": "x" * 200},
        }
        for number in range(OBJECTS)
    ]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db", "namespace": namespace},
        "stringData": {"password": "as it was"},
    }
    path: Path = tmp_path_factory.mktemp("filled") / "things.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [secret, *things]}), encoding="ascii")
    docker("cp", str(path), f"{OPERATOR}:/var/tmp/things.json")
    lab.kubectl("create --filename=/var/tmp/things.json >/dev/null")
    return namespace
