# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask etcd's own programs on a member's host."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

ETCDCTL = "/usr/local/bin/etcdctl"
ETCDUTL = "/usr/local/bin/etcdutl"


def ask(module: AnsibleModule, program: str, *arguments: str) -> Any:
    """What a program answers, as a document; the module fails with its words where it gives none."""
    code, output, error = module.run_command([program, "--write-out=json", *arguments])
    try:
        return json.loads(output)
    except ValueError:
        command = " ".join([os.path.basename(program), *arguments])
        module.fail_json(msg=f"`{command}` failed with exit code {code}: {(error or output).strip()}")
