#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply components to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component
short_description: Apply whole components of a host (binaries, files, unit, health) in one call, with rollback
description:
  - A component is a service described as data, in a role's variable C(<role>_component), a dictionary or several.
  - This applies the components of several roles with one round trip to the host.
  - It compares everything first, writes what differs, restarts only what changed, and waits for each component's own
    health endpoint.
  - A component that ran before and does not get healthy again is rolled back to the files and binaries that were there;
    the error ends with its journal's last lines.
  - Components that never ran on the host are started together and waited for; those that ran are changed one after
    another.
  - Files that a component had and no longer lists are removed.
  - A run that was killed leaves a mark on the host, and the next run finishes its work. What it had begun on the host
    goes on there to its end, and the next run waits for that.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: Says what would change and changes nothing.}
  diff_mode:
    support: full
    description: Shows files as they are and as they will be; of secrets and binaries only that they differ.
options:
  roles:
    description:
      - Roles whose components are applied, in this order; found beside the playbook, in the roles path, then in this
        collection.
      - Of each role C(defaults/main.yml), C(vars/main.yml) and C(meta/argument_specs.yml) are read; its tasks do not
        run.
    type: list
    elements: str
    required: true
  rolling:
    description:
      - Change nothing on a host that would have to restart a running component marked C(rolling), and return
        RV(deferred) instead.
      - The caller then applies such hosts one by one.
    type: bool
    default: false
  artifacts:
    description:
      - Binaries by name, each with C(sha256), C(size) and C(version).
      - Default is the fact C(cluster_artifacts) for the host's architecture.
    type: dict
  store:
    description:
      - The artifact store with C(urls), tried in turn, and C(ca), a path on the control node.
      - Default is C(cluster_derived.store).
    type: dict
  pki_dir:
    description:
      - Folder of the control node that holds certificates and keys.
      - Default is C(cluster_derived.pki_dir).
    type: path
"""

EXAMPLES = r"""
- name: Apply all that runs on a worker
  selfhosted.kubernetes.component:
    roles: [host, loadbalancer, containerd, kubelet, kube_proxy, overlay]

# What a role says of its component, in vars/main.yml; only the name is required.
# greeter_component:
#   name: greeter
#   packages: [libgreet]           # of the distribution; nothing is asked of the network when they are present;
#                                  # greet=1.2.3 is that version, where packages are Debian's
#   user: greeter                  # a system user, made when absent, that nobody can log in as
#   user_home: /var/lib/greeter    # /nonexistent by default, as user_shell is /usr/sbin/nologin
#   binaries:                      # from the artifact store, by checksum
#     - greeter                    # to /usr/local/bin/greeter
#     - {name: hello, dest: /opt/greeter/hello}
#   directories:
#     - {path: /var/lib/greeter, owner: greeter, group: greeter, mode: "0700"}
#   files:                         # each from exactly one of template, content and pki; root's and 0644 by default
#     - {dest: /etc/greeter/greeter.yaml, template: etc/greeter/greeter.yaml.j2}
#     - {dest: /etc/greeter/ca.crt, pki: ca/outside.crt}            # a path below pki_dir
#     - {dest: /etc/greeter/server.key, pki: certs/h1/greeter.key}  # keys are secret: the user's, 0600, never shown
#     - {dest: /etc/greeter/password, content: "{{ greeter_password }}", secret: true}
#     - {dest: /etc/apt/sources.list.d/greeter.sources, content: "", before_packages: true}  # where packages come from
#     - {dest: /etc/sysctl.d/greeter.conf, content: "", restarts: systemd-sysctl.service}  # "" restarts nothing
#   unit: {template: etc/systemd/system/greeter.service.j2, reload: true}  # reload is enough for changed files
#   first_start: [/usr/local/libexec/greeter-join, --patient]  # starts its unit, once, where it never ran well before;
#                                  # in place of systemd, and again when a run was killed meanwhile
#   health: {url: "https://127.0.0.1:8443/health", ca: /etc/greeter/ca.crt, timeout_seconds: 30}  # or tcp, or command
#   rolling: true                  # only one host at a time may restart it
#   leaves:                        # what it makes while it runs, for the reset module to remove; paths with wildcards
#     {paths: [/var/lib/greeter], interfaces: [greet0], nft_tables: [ip greeter], commands: [[greeter, --cleanup]]}
"""

RETURN = r"""
deferred:
  description: Whether nothing was done because a component marked C(rolling) would have been restarted.
  returned: success
  type: bool
components:
  description: Of each component whether it changed, and each action in words.
  returned: success
  type: dict
  sample:
    kubelet:
      changed: true
      actions:
        - change /etc/kubernetes/kubelet/config.yaml
        - restart kubelet.service (/etc/kubernetes/kubelet/config.yaml)
"""

import base64
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.alone import alone
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.engine import run
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import ComponentError, Host


def with_bytes(components: list[dict[str, Any]], secrets: dict[str, str]) -> list[dict[str, Any]]:
    """The components with each file's bytes; copies, since Ansible shows a module's parameters as its invocation."""

    def content(file: dict[str, Any]) -> bytes:
        return base64.b64decode(secrets[file["dest"]]) if file["secret"] else str(file["content"]).encode()

    return [{**item, "files": [{**file, "bytes": content(file)} for file in item["files"]]} for item in components]


def main() -> None:
    """The action plugin has rendered everything; secrets come apart, so that nothing prints them."""
    module = AnsibleModule(
        argument_spec={
            "components": {"type": "list", "elements": "dict", "required": True},
            "secrets": {"type": "dict", "no_log": True, "default": {}},
            "store": {"type": "dict", "default": {}},
            "rolling": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    components = with_bytes(module.params["components"], module.params["secrets"])
    host, check = Host(), module.check_mode
    try:
        with alone(host, check) as waited:
            if waited >= 1:
                module.warn(f"waited {waited:.0f} s until an earlier run had ended its work on this host")
            result = run(host, components, module.params["store"], module.params["rolling"], check)
    except (ComponentError, OSError) as error:
        module.fail_json(msg=str(error))
    if not module._diff:  # noqa: SLF001  (Ansible has no other name for it)
        result.pop("diff")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
