# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where playbooks/artifacts.yml and bundle.yml keep what they learn; with a mirror on this machine, no host."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
VERSION = yaml.safe_load((CHECKOUT / "roles/cluster/defaults/main.yml").read_text())["cluster_kubernetes_version"]
BODY = b"no archive"


@pytest.fixture(scope="module")
def mirror() -> Iterator[str]:
    """Has the same bytes under each name, with their right checksum: programs are taken, the first archive is not."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sums = self.path.endswith((".sha256", "SUMS"))
            body = hashlib.sha256(BODY).hexdigest().encode() if sums else BODY
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("playbook", "variables", "folder"),
    [
        ("artifacts", {}, "inventory/state"),
        ("artifacts", {"cluster_state_dir": "../keep"}, "keep"),
        ("bundle", {"cluster_state_dir": "{{ inventory_dir }}/keep"}, "inventory/keep"),
    ],
)
def test_pins_are_kept_where_a_site_run_looks(
    tmp_path: Path, mirror: str, playbook: str, variables: dict[str, str], folder: str
) -> None:
    """With the inventory, wherever the playbook is called from; hosts need not exist."""
    groups = {"masters": "m1", "workers": "w1", "outside": "o1"}
    children = {
        group: {"hosts": {host: {"ansible_host": f"192.0.2.{number}"}}}
        for number, (group, host) in enumerate(groups.items(), 1)
    }
    for name in ("inventory", "elsewhere", "ansible_collections/selfhosted"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "ansible_collections/selfhosted/kubernetes").symlink_to(CHECKOUT)
    inventory = tmp_path / "inventory/hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"children": children, "vars": variables}}), encoding="utf-8")
    options = {
        "artifacts_source": "mirror",
        "artifacts_mirror": mirror,
        "artifacts_cache_dir": f"{tmp_path}/cache",
        "artifacts_bundle": f"{tmp_path}/bundle.tar" if playbook == "bundle" else "",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory)]
    done = subprocess.run(
        [*command, f"selfhosted.kubernetes.{playbook}", "-e", json.dumps(options)],
        cwd=tmp_path / "elsewhere",
        env={
            **environment,
            "ANSIBLE_COLLECTIONS_PATH": str(tmp_path),
            "ANSIBLE_LOCAL_TEMP": f"{tmp_path}/tmp",
            "ANSIBLE_NOCOLOR": "1",
            "no_proxy": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "has no readable etcd" in done.stdout + done.stderr
    (pins,) = tmp_path.rglob("artifacts.pins.json")
    assert pins == tmp_path / folder / "artifacts.pins.json"
    assert any(f"/v{VERSION}/" in key and key.endswith("/kubelet") for key in json.loads(pins.read_text()))
    assert list((tmp_path / "elsewhere").iterdir()) == []
