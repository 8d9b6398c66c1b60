#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have every secret encrypted with the key that is in use."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secrets_rewrite
short_description: Have every secret stored with one encryption key, and prove it in etcd
description:
  - Runs on a master, when all API servers encrypt with the key.
  - Looks into etcd for secrets that another key encrypted (or none), has each written again as it is, and looks again
    until there is none. A change that somebody makes meanwhile wins, and is encrypted with the key as well.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: Says how many would be written again.}
  diff_mode: {support: none, description: Secrets are not shown.}
options:
  key_name:
    description: Name of the key in kube-apiserver's encryption configuration, provider C(secretbox).
    type: str
    required: true
  etcd_servers:
    description: Client URLs of etcd's members, separated by commas; the first that answers is asked.
    type: str
    required: true
  etcd_prefix:
    description: Where kube-apiserver keeps everything in etcd (its flag C(--etcd-prefix)).
    type: str
    default: /registry
"""

EXAMPLES = r"""
- name: Have every secret encrypted with the new key
  selfhosted.kubernetes.secrets_rewrite:
    key_name: key-0123456789ab
    etcd_servers: https://10.0.0.11:2379,https://10.0.0.12:2379
  run_once: true
"""

RETURN = r"""
rewritten:
  description: How many secrets were written again.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._secrets import (
    Ask,
    SecretsError,
    connect,
    rewrite_all,
    stored_otherwise,
)

PKI = "/etc/kubernetes/pki"


def etcd_of(servers: list[str]) -> Ask:
    """The first member that answers."""
    failures = []
    for server in servers:
        ask = connect(
            server, f"{PKI}/etcd-ca.crt", f"{PKI}/apiserver-etcd-client.crt", f"{PKI}/apiserver-etcd-client.key"
        )
        try:
            ask("GET", "/version", None)
        except SecretsError as error:
            failures.append(str(error))
        else:
            return ask
    raise SecretsError(f"no member of etcd answers: {'; '.join(failures)}")


def main() -> None:
    """Everything that an API server itself needs is on its host."""
    module = AnsibleModule(
        argument_spec={
            "key_name": {"type": "str", "required": True, "no_log": False},
            "etcd_servers": {"type": "str", "required": True},
            "etcd_prefix": {"type": "str", "default": "/registry"},
        },
        supports_check_mode=True,
    )
    prefix, key_name = module.params["etcd_prefix"], module.params["key_name"]
    try:
        etcd = etcd_of(module.params["etcd_servers"].split(","))
        if module.check_mode:
            count = len(stored_otherwise(etcd, prefix, key_name))
        else:
            client = f"{PKI}/apiserver-kubelet-client"
            api = connect("https://127.0.0.1:6443", f"{PKI}/ca.crt", f"{client}.crt", f"{client}.key")
            count = rewrite_all(api, etcd, prefix, key_name)
    except (SecretsError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=count > 0, rewritten=count)


if __name__ == "__main__":
    main()
