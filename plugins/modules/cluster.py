#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the cluster action, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster
short_description: Check the whole inventory and derive cluster-wide values
description:
  - Reads the groups C(etcd), C(masters), C(workers) and C(outside), the variables of all their hosts,
    the argument specs of all roles of this collection, and what M(selfhosted.kubernetes.host_facts) has registered
    as C(cluster_host).
  - Fails once with a list of everything that is wrong, each with variable or host, what is wrong, and what to do.
  - It is implemented by an action plugin that runs on the control node alone; call it with C(run_once) and register it
    as C(cluster_derived), as the role C(cluster) does.
author: selfhosted.kubernetes contributors (@selfhosted)
version_added: 0.1.0
options: {}
attributes:
  check_mode:
    description: Runs the same in check mode, as it changes nothing.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: Check the inventory and derive cluster-wide values
  selfhosted.kubernetes.cluster:
  register: cluster_derived
  run_once: true
"""

RETURN = r"""
name:
  description: Name of the cluster
  type: str
  returned: success
  sample: kubernetes
domain:
  description: DNS domain of Services
  type: str
  returned: success
  sample: cluster.local
state_dir:
  description: Folder of the state on the control node
  type: str
  returned: success
  sample: /srv/cluster/state
pki_dir:
  description: Folder of keys and certificates on the control node
  type: str
  returned: success
  sample: /srv/cluster/state/pki
kubernetes_version:
  description: Version of Kubernetes
  type: str
  returned: success
  sample: 1.37.2
groups:
  description: Names in each of our groups
  type: dict
  returned: success
  sample: {masters: [m1]}
nodes:
  description: Masters and workers
  type: list
  elements: str
  returned: success
  sample: [m1, w1]
node_components:
  description: Roles that run pods, which an upgrade applies when all control planes are done
  type: list
  elements: str
  returned: success
  sample: [containerd, kubelet, kube_proxy, overlay, addons]
endpoint:
  description: Where clients outside the nodes find the API
  type: dict
  returned: success
  sample: {host: 192.0.2.5, port: 6443, url: "https://192.0.2.5:6443"}
local_endpoint:
  description: Where every host finds the API
  type: str
  returned: success
  sample: "https://127.0.0.1:7443"
vip:
  description: Virtual address or empty
  type: str
  returned: success
  sample: ""
pod_network:
  description: Network of pods
  type: str
  returned: success
  sample: 10.244.0.0/16
service_network:
  description: Network of Services
  type: str
  returned: success
  sample: 10.96.0.0/16
service_address:
  description: Service address of the API
  type: str
  returned: success
  sample: 10.96.0.1
dns_address:
  description: Service address of DNS
  type: str
  returned: success
  sample: 10.96.0.10
node_cidr_size:
  description: Prefix length of a node's part of the pod network
  type: int
  returned: success
  sample: 24
hosts:
  description: "Each host's name, address, groups, components (in order), components_late, architecture and pod_mtu"
  type: dict
  returned: success
etcd:
  description: Members and the two forms in which programs want to be told about them
  type: dict
  returned: success
masters:
  description: Name and address of each master
  type: list
  elements: dict
  returned: success
registry:
  description: Address and URL of the registry, and whether images come from there alone
  type: dict
  returned: success
  sample: {address: "192.0.2.5:5000", url: "https://192.0.2.5:5000", isolated: true}
store:
  description: URLs of the artifact store and the path of its CA on the control node
  type: dict
  returned: success
ci_jobs:
  description: Repositories whose jobs may change the cluster, and the namespaces in which they may
  type: list
  elements: dict
  returned: success
  sample: [{repository: app, namespaces: [app]}]
pki:
  description: Arguments of the pki action
  type: dict
  returned: success
"""
