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
  - Issues what is missing, what is wrong (names, subject, usages, CA, key) and what is within a third of its life of
    its end, in one call.
  - CAs and keys are never replaced but by O(rotate). One that was made once and is gone is an error, since what exists
    would not trust its successor, or could not be read by it; C(index.json) in O(pki_dir) remembers what was ever made.
  - The key of a CA may be kept elsewhere. It is needed only when something has to be issued.
  - All keys are ECDSA P-256. Files are 0600 in folders 0700 (both are put right when they are not) and replaced
    atomically. Two runs at once wait for each other.
  - Certificates begin five minutes before they are made, so that a host whose clock is a little behind takes them.
  - This is an action plugin. It needs no Python library beside those of ansible-core and contacts no host; call it with
    C(run_once).
version_added: 0.1.0
author: selfhosted.kubernetes contributors (@selfhosted)
attributes:
  check_mode:
    description: Says what would be issued and writes nothing.
    support: full
  diff_mode:
    description: Shows reason, subject, names and last day of what is replaced and of what is new; never a key.
    support: full
options:
  pki_dir:
    description: Folder with C(ca/), C(certs/) and C(keys/); made when it is missing.
    type: path
    required: true
  cas:
    description:
      - CAs. The files of one are C(ca/NAME.crt) and C(ca/NAME.key).
      - C(ca/NAME.crt) may have several; the first one issues, all are trusted.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name, by which certificates choose it.
        type: str
        required: true
      cn:
        description: Common name of a new CA.
        type: str
        required: true
  certificates:
    description: Leaf certificates. The files of one are C(certs/NAME.crt) and C(certs/NAME.key).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name, with at most one slash, such as V(m1/etcd-server).
        type: str
        required: true
      ca:
        description: Name of the CA that issues it.
        type: str
        required: true
      cn:
        description: Common name, which Kubernetes takes as the user; at most 64 characters.
        type: str
        required: true
      usages:
        description: What it is for.
        type: list
        elements: str
        choices: [server, client]
        required: true
      o:
        description: Organisations, which Kubernetes takes as groups.
        type: list
        elements: str
        default: []
      dns:
        description: DNS names; their order does not matter.
        type: list
        elements: str
        default: []
      ip:
        description: IP addresses; order and notation do not matter.
        type: list
        elements: str
        default: []
  keys:
    description: Keys without a certificate, which are made once and never again but by O(rotate).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the files below C(keys/).
        type: str
        required: true
      type:
        description:
          - V(pair) is an ECDSA key pair, C(NAME.key) and C(NAME.pub). The public file may have further keys.
          - V(random) is 32 random bytes in base64, C(NAME); of several lines the first one is in use.
        type: str
        choices: [pair, random]
        required: true
  user_cas:
    description:
      - CAs that the user brings, by name, each with the paths C(certificate) and C(key) (PEM); checked, then copied.
      - Each has to be a self-signed CA for this purpose alone. Whoever trusts a CA lets in all whom it ever certified.
    type: dict
    default: {}
  rotate:
    description:
      - One phase of replacing something while it is in use. Between two phases every host has to be given all files.
      - A phase that is done already does nothing. How far a rotation is, is read from its files; C(rotations.json) in
        O(pki_dir) remembers which is the old and which the new one, until V(end).
    type: dict
    suboptions:
      what:
        description:
          - V(ca/NAME), V(keys/NAME), or V(certs) for all certificates, which have the phases V(issue) and V(end) alone.
          - A CA of the user is replaced by the other one that O(user_cas) names then.
        type: str
        required: true
      phase:
        description:
          - V(trust) makes a successor, which is trusted (believed, decrypts) beside the one in use.
          - V(issue) lets the successor issue (sign, encrypt).
          - V(drop) trusts the successor alone.
          - V(end) forgets the rotation.
        type: str
        choices: [trust, issue, drop, end]
        required: true
  ca_days:
    description: Life of a new CA in days.
    type: int
    default: 3650
  certificate_days:
    description: Life of a new leaf certificate in days, 1 to 365; it ends with its CA at the latest.
    type: int
    default: 360
  passphrase:
    description:
      - Encrypts the keys of CAs (PKCS#8), also those that exist without. Empty leaves new ones unencrypted.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Have every certificate of one etcd member
  selfhosted.kubernetes.pki:
    pki_dir: "{{ inventory_dir }}/state/pki"
    cas:
      - {name: etcd, cn: etcd-ca}
    certificates:
      - {name: m1/etcd-server, ca: etcd, cn: m1, usages: [server, client], dns: [m1, localhost], ip: [10.0.0.11, "::1"]}
      - {name: m1/etcdctl, ca: etcd, cn: root, usages: [client]}
    keys:
      - {name: sa, type: pair}
      - {name: encryption-key, type: random}
  run_once: true

- name: Use a CA of one's own, and see what would be issued
  selfhosted.kubernetes.pki:
    pki_dir: "{{ inventory_dir }}/state/pki"
    cas:
      - {name: kubernetes, cn: kubernetes-ca}
    user_cas:
      kubernetes: {certificate: /root/ca/kubernetes.crt, key: /root/ca/kubernetes.key}
    passphrase: "{{ vault_ca_passphrase }}"
  run_once: true
  check_mode: true
  diff: true
"""

RETURN = r"""
issued:
  description: What was issued.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: File below O(pki_dir), without C(.crt).
      type: str
    reason:
      description: Why.
      type: str
    not_after:
      description: End of a certificate's life in UTC; empty for keys.
      type: str
  sample:
    - {name: certs/m1/apiserver, reason: "its names differ: +DNS:m4", not_after: "2027-11-18T10:00:00Z"}
repaired:
  description: What was put right without being issued, such as file modes.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: File or folder below O(pki_dir).
      type: str
    reason:
      description: What was wrong.
      type: str
  sample: []
rotated:
  description: The step of a rotation that was taken in this call.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: What is rotated.
      type: str
    step:
      description: What is different now.
      type: str
  sample:
    - {name: ca/etcd, step: its successor is trusted besides it}
expires_first:
  description: The certificate or CA that expires first, and in how many days.
  returned: when there is a certificate
  type: dict
  sample: {name: certs/m1/apiserver, days: 359}
"""
