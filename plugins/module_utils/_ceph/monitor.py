# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first start of a monitor, in place of systemd's.

It joins the monitors that answer. Only where the control node knows of no storage yet it is one of those that begin it:
an empty disk never makes a second, empty storage beside one that is down. Killed at any point, it is simply run again.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

DATA = "/var/lib/ceph/mon"
KEYRING = "/etc/ceph/cluster.keyring"
SECONDS = 60
OWNER = ("--setuser", "ceph", "--setgroup", "ceph")


def run(*argv: str) -> None:
    """A command that must succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=2 * SECONDS, check=False)
    if done.returncode:
        sys.exit(f"`{' '.join(argv)}` ended with {done.returncode}: {done.stderr.strip()[-1000:]}")


def map_of_monitors(path: str, fsid: str, monitors: list[str], known: bool) -> None:
    """Who the monitors are: as they say themselves, or as the inventory says where there are none yet."""
    if not known:
        pairs = (it.partition("=")[::2] for it in monitors)
        added = [word for name, address in pairs for word in ("--addv", name, address)]
        run("monmaptool", "--create", "--clobber", "--fsid", fsid, *added, path)
        return
    asked = ("ceph", "--name", "mon.", "--keyring", KEYRING, "--connect-timeout", str(SECONDS))
    done = subprocess.run(
        [*asked, "mon", "getmap", "--out-file", path], capture_output=True, text=True, timeout=2 * SECONDS, check=False
    )
    if done.returncode:
        sys.exit(
            "this monitor has no data, and the others do not answer: it would begin a new, empty storage. Start the "
            "other monitors (most of them are needed), or, when all data is to be given up, remove the file ceph-fsid "
            f"from the cluster's state folder on the control node. {done.stderr.strip()[-300:]}"
        )


def main() -> None:
    """As root."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--fsid", required=True)
    parser.add_argument("--monitor", action="append", required=True, help="NAME=[v2:ADDRESS:PORT]")
    parser.add_argument("--known", choices=("yes", "no"), required=True)
    wish = parser.parse_args()
    data = Path(DATA, f"ceph-{wish.name}")
    if not (data / "store.db").is_dir():
        new = data.with_name(f".{data.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True, mode=0o750)
        shutil.chown(new, "ceph", "ceph")
        # Not in there: in a folder that is not empty nothing is made, and that is no error.
        members = data.with_name(f".{data.name}.monmap")
        map_of_monitors(str(members), wish.fsid, wish.monitor, wish.known == "yes")
        shutil.chown(members, "ceph", "ceph")
        make = ("ceph-mon", "--mkfs", "--id", wish.name, "--mon-data", str(new), "--monmap", str(members))
        run(*make, "--fsid", wish.fsid, "--keyring", KEYRING, *OWNER)
        members.unlink()
        if not (new / "store.db").is_dir():
            sys.exit(f"`ceph-mon --mkfs` made nothing in {new}")
        shutil.rmtree(data, ignore_errors=True)
        new.rename(data)
    run("systemctl", "start", "--no-block", f"ceph-mon@{wish.name}.service")


if __name__ == "__main__":
    main()
