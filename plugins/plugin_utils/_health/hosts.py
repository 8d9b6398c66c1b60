# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each host by itself: whether it answers, its components, units, disks, memory and clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.clock import TIME_SERVICE, apart, drift

from .model import SITE, SITE_THERE, Area, Seen, error, mib, names, well

# kube-addons is healthy when the live objects are what its files say: one that somebody changed still works.
# `kubectl diff` ends with 1 where they differ, and with more where it cannot tell.
DRIFT = {"kube-addons": "objects of the API differ from /etc/kubernetes/addons"}
RUNS = ("active", "reloading")
STARTS = ("enabled", "static", "generated", None)
# Percent of a disk, by size or by inodes. The kubelet evicts pods from 90 on.
DISK_WARNING, DISK_FAILURE = 85, 95
MEMORY_WARNING = 10  # Percent that is left.
CLOCK_FAILURE_SECONDS = 10.0
# Started again by systemd so often, and running for no longer than that: it is about to end again. What runs once, and
# is tried until it works (kube-addons), has ended well when its unit is active.
LOOP_RESTARTS, LOOP_SECONDS = 5, 600
GONE = {
    "etcd": "where it is gone for good: replace_etcd_member.yml",
    "workers": "where it is gone for good: remove_node.yml with remove_is_gone=true",
}


def hosts(seen: Seen) -> Area:
    """All of them answer."""
    area = Area("hosts", f"{len(seen.hosts)} of {len(seen.hosts) + len(seen.silent)} answer")
    if not seen.hosts and not seen.silent:
        what = "there is no host in the groups etcd, masters, workers and outside"
        area.fail("inventory", what, "ansible-playbook -i INVENTORY … check.yml")
    for name, why in seen.silent.items():
        look = "ssh to {hosts}; look at power, console and network"
        gone = next((todo for group, todo in GONE.items() if name in seen.group(group)), "")
        area.fail(name, f"does not answer: {why}", f"{look}; {gone}" if gone else look)
    area.figures = {"silent": len(seen.silent)}
    return area


def components(seen: Seen) -> Area:
    """Every component that was installed runs, is healthy, and starts with its host."""
    area, count, sick = Area("components"), 0, 0
    for host, observed in seen.hosts.items():
        if not observed["components"]:
            area.fail(host, "has no component at all", SITE_THERE)
        for name, it in observed["components"].items():
            count += 1
            sick += not (well(it) and it["installed"])
            _component(area, host, name, it)
        halted = [name for name, it in observed["components"].items() if it["interrupted"] and it["installed"]]
        if halted:
            area.warn(host, f"a site run was interrupted at {names(halted)}, or is running now", SITE_THERE)
    area.summary = f"{count - sick} of {count} well"
    area.figures = {"sick": sick}
    return area


def _component(area: Area, host: str, name: str, it: Mapping[str, Any]) -> None:
    unit = it["unit"]
    look = f"on {{hosts}}: journalctl -u {unit} -n 50"
    if not it["installed"]:
        area.fail(host, f"{name}: its first start never ended well", f"{look}; then {SITE_THERE}")
    elif unit and it["active"] is None:
        area.fail(host, f"{name}: systemd does not say how {unit} is", "on {hosts}: systemctl status")
    elif unit and it["active"] not in RUNS:
        area.fail(host, f"{name}: {unit} is {it['active']} ({it['sub']})", f"{look}; systemctl restart {unit}")
    elif it["complaint"] and name in DRIFT:
        why = it["complaint"].rpartition("`")[2].strip()
        what = DRIFT[name] if why.startswith("ended with 1:") else f"objects of the API cannot be compared: {why}"
        area.warn(host, f"{name}: {what}", f"{SITE} --limit masters --check --diff")
    elif it["complaint"]:
        area.fail(host, f"{name}: {' '.join(it['complaint'].split())[:300]}", look)
    elif it["sub"] == "running" and it["restarts"] >= LOOP_RESTARTS and it["seconds"] < LOOP_SECONDS:
        what = f"{name}: {unit} ended and was started again {it['restarts']} times, last {it['seconds']:.0f} s ago"
        area.warn(host, what, look)
    elif it["enabled"] not in STARTS:
        area.warn(host, f"{name}: {unit} will not start with the host ({it['enabled']})", SITE_THERE)


def units(seen: Seen) -> Area:
    """No other unit failed either."""
    area = Area("other units")
    for host, observed in seen.hosts.items():
        if why := error(observed["failed_units"]):
            area.warn(host, f"failed units cannot be listed: {why}", "on {hosts}: systemctl --failed")
            continue
        ours = {it["unit"] for it in observed["components"].values()}
        for unit in sorted(set(observed["failed_units"]) - ours):
            area.warn(
                host, f"{unit} failed", f"on {{hosts}}: journalctl -u {unit} -n 50; systemctl reset-failed {unit}"
            )
    area.summary = f"{len(area.findings)} failed" if area.findings else "none failed"
    return area


def disks(seen: Seen) -> Area:
    """There is room, in bytes and in inodes."""
    area, fullest = Area("disks"), (-1.0, "")
    for host, observed in seen.hosts.items():
        if why := error(observed["disks"]):
            area.fail(host, f"disks cannot be asked: {why}", "on {hosts}: df; dmesg | tail")
            continue
        for disk in observed["disks"]:
            if disk["read_only"]:
                what = f"{disk['path']} can only be read"
                area.fail(host, what, f"on {{hosts}}: dmesg | tail; then mount -o remount,rw {disk['path']}, or fsck")
            for kind in ("bytes", "inodes"):
                total = disk[f"used_{kind}"] + disk[f"free_{kind}"]
                percent = 100 * disk[f"used_{kind}"] / total if total else 0.0
                fullest = max(fullest, (percent, f"{host}:{disk['path']}"))
                left = mib(disk["free_bytes"]) if kind == "bytes" else f"{disk['free_inodes']} inodes"
                what = f"{disk['path']} is {percent:.0f} % full, {left} left"
                todo = f"on {{hosts}}: du -xh --max-depth=3 {disk['path']} | sort -h | tail"
                if percent > DISK_WARNING:
                    (area.fail if percent > DISK_FAILURE else area.warn)(host, what, todo)
    area.summary = f"fullest: {fullest[1]}, {fullest[0]:.0f} %" if fullest[1] else ""
    area.figures = {"fullest_percent": round(fullest[0], 1)} if fullest[1] else {}
    return area


def memory(seen: Seen) -> Area:
    """Programs can still have some."""
    area, least = Area("memory"), (101.0, "")
    for host, it in seen.answers("memory").items():
        percent = 100 * it["available_bytes"] / it["total_bytes"]
        least = min(least, (percent, host))
        if percent < MEMORY_WARNING:
            left = f"{mib(it['available_bytes'])} of {mib(it['total_bytes'])}"
            area.warn(host, f"{left} of memory left", "on {hosts}: systemd-cgtop -m; ps aux --sort=-rss | head")
    area.summary = f"least left: {least[1]}, {least[0]:.0f} %" if least[1] else ""
    area.figures = {"least_available_percent": round(least[0], 1)} if least[1] else {}
    return area


def clocks(seen: Seen) -> Area:
    """They agree, as far as the calls were quick enough to tell."""
    area, times = Area("clocks"), {name: it["clock"] for name, it in seen.hosts.items()}
    for host, it in times.items():
        seconds, side = drift(it)
        if side:
            report = area.fail if seconds > CLOCK_FAILURE_SECONDS else area.warn
            report(
                host,
                f"its clock is {seconds:.1f} s {side} the control node's",
                f"on {{hosts}}: timedatectl; {TIME_SERVICE}",
            )
    if not area.findings and (found := apart(times)):
        ahead, behind, seconds = found
        area.warn(
            ahead,
            f"its clock is at least {seconds:.1f} s ahead of {behind}'s",
            f"on {{hosts}}: timedatectl; {TIME_SERVICE}",
        )
    area.summary = f"{len(area.findings)} differ" if area.findings else "they agree"
    return area
