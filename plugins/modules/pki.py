#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the pki action, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pki
short_description: Issue every CA, certificate and key of a cluster on the control node
description:
  - Issues what is missing, what is wrong (names, subject, usages, CA, key) and what is within a third of its life of its end, in one call.
  - CAs and keys are never replaced. One that was made once and is gone is an error, since its successor could not read or would not be trusted by what exists.
  - All keys are ECDSA P-256. Files are 0600 in folders 0700, replaced atomically; two runs at once wait for each other.
  - This is an action, it needs C(cryptography) beside ansible-core and contacts no host.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: Says what would be issued and writes nothing.}
  diff_mode: {support: full, description: Lists names, reasons and dates; never a key.}
options:
  pki_dir:
    description: Folder with C(ca/), C(certs/) and C(keys/).
    type: path
    required: true
  cas:
    description: CAs, each with C(name) and C(cn).
    type: list
    elements: dict
    required: true
  certificates:
    description: Leaf certificates, each with C(name), C(ca), C(cn), C(usages) (V(server), V(client)), and perhaps C(o), C(dns) and C(ip).
    type: list
    elements: dict
    default: []
  keys:
    description: Keys, each with C(name) and C(type), V(pair) for an ECDSA key pair and V(random) for 32 random bytes in base64.
    type: list
    elements: dict
    default: []
  user_cas:
    description: CAs that the user brings, by name, each with the paths C(certificate) and C(key).
    type: dict
    default: {}
  ca_days:
    description: Life of a CA in days.
    type: int
    default: 3650
  certificate_days:
    description: Life of a leaf certificate in days.
    type: int
    default: 360
  passphrase:
    description: Encrypts the keys of CAs; empty leaves them as they are.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Have every certificate
  selfhosted.kubernetes.pki:
    pki_dir: "{{ cluster_derived.pki_dir }}"
    cas: [{name: etcd, cn: etcd-ca}]
    certificates:
      - {name: m1/etcd-server, ca: etcd, cn: m1, usages: [server, client], dns: [m1], ip: [10.0.0.11]}
"""

RETURN = r"""
issued:
  description: What was issued, each with name, reason and last day.
  returned: success
  type: list
  elements: dict
expires_first:
  description: The certificate that expires first, and in how many days.
  returned: success
  type: dict
  sample: {name: certs/m1/apiserver, days: 359}
"""
