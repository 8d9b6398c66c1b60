# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make an OSD of a disk, or of a file, where it is none yet; run before each start, and then it finds all done.

What is on a disk is only overwritten when the inventory's ceph_wipe names that very disk of this host.
Killed at any point, it is simply run again: the cluster knows the OSD by its UUID.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

DATA = "/var/lib/ceph/osd"
SETTINGS = "/etc/ceph/osd"
BOOTSTRAP = "/etc/ceph/bootstrap-osd.keyring"
LABEL = b"bluestore block device\n"
# At the beginning of a disk are the marks of partition tables and of most file systems; Btrfs has its own at 64 KiB.
HEAD = 1 << 20
OWNER = ("--setuser", "ceph", "--setgroup", "ceph")


def run(*argv: str, given: str = "") -> str:
    """A command that must succeed; what is given to it is in no list of processes."""
    done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        sys.exit(f"`{' '.join(argv)}` ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
    return done.stdout.strip()


def settings(name: str) -> dict[str, str]:
    """KEY=VALUE lines, which the unit reads, too."""
    text = Path(SETTINGS, f"{name}.env").read_text(encoding="utf-8")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def holds(device: str, uuid: str) -> str:
    """What is on a disk: nothing, this OSD, or something else in words."""
    with open(device, "rb") as stream:
        head = stream.read(HEAD)
    if not head.strip(b"\0"):
        return ""
    if not head.startswith(LABEL):
        return "data"
    return "this OSD" if head[len(LABEL) :].startswith(uuid.encode()) else "another OSD"


def prepare_device(wish: dict[str, str], folder: Path) -> bool:
    """A disk that may be used; whether this OSD is on it already."""
    device = os.path.realpath(wish["DEVICE"])
    if not os.path.exists(device) or not stat.S_ISBLK(os.stat(device).st_mode):
        sys.exit(f"{wish['DEVICE']} is no disk of this host: correct ceph_osds")
    found = holds(device, wish["UUID"])
    if found in ("data", "another OSD"):
        if wish.get("WIPE") != "yes":
            sys.exit(f"{wish['DEVICE']} holds {found}: it is left alone; ceph_wipe would have to name it")
        run("wipefs", "--all", device)
        with open(device, "r+b") as stream:
            stream.write(bytes(HEAD))
            os.fsync(stream.fileno())
    shutil.chown(device, "ceph", "ceph")
    link = folder / "block"
    if not link.is_symlink() or os.readlink(link) != wish["DEVICE"]:
        link.unlink(missing_ok=True)
        link.symlink_to(wish["DEVICE"])
    return found == "this OSD"


def register(wish: dict[str, str], folder: Path) -> str:
    """The OSD's number, and its key in a file; asked again, the cluster says the same."""
    secret = folder / "secret"
    if not secret.exists():
        new = folder / "secret.new"
        new.touch(mode=0o600)
        new.write_text(json.dumps({"cephx_secret": run("ceph-authtool", "--gen-print-key")}), encoding="ascii")
        new.rename(secret)
    text = secret.read_text(encoding="ascii")
    asked = ("ceph", "--name", "client.bootstrap-osd", "--keyring", BOOTSTRAP, "--connect-timeout", "60")
    number = run(*asked, "osd", "new", wish["UUID"], "-i", "-", given=text)
    keyring = folder / "keyring"
    keyring.touch(mode=0o600)
    keyring.write_text(f"[osd.{number}]\n\tkey = {json.loads(text)['cephx_secret']}\n", encoding="ascii")
    shutil.chown(keyring, "ceph", "ceph")
    return number


def main(name: str) -> None:
    """As root."""
    wish, folder = settings(name), Path(DATA, name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    shutil.chown(folder, "ceph", "ceph")
    device = wish.get("DEVICE", "")
    known = prepare_device(wish, folder) if device else (folder / "block").exists()
    if (folder / "ready").exists():
        if not known:
            number = (folder / "whoami").read_text(encoding="ascii").strip()
            sys.exit(f"the disk of OSD {number} was replaced: `ceph osd purge {number}` and remove {folder} first")
        return
    if known and device and not (folder / "secret").exists():
        # The system was installed anew; the disk tells what was in this folder.
        run("ceph-bluestore-tool", "prime-osd-dir", "--dev", device, "--path", str(folder))
        run("chown", "--recursive", "ceph:ceph", str(folder))
    else:
        number = register(wish, folder)
        size = ["--bluestore-block-create=true", f"--bluestore-block-size={wish['BYTES']}"] if wish.get("BYTES") else []
        make = ("ceph-osd", "--mkfs", "--id", number, "--osd-data", str(folder), "--osd-uuid", wish["UUID"])
        run(*make, "--osd-objectstore", "bluestore", *size, *OWNER)
    (folder / "OSD_ID.env").write_text(f"OSD_ID={(folder / 'whoami').read_text(encoding='ascii').strip()}\n")


if __name__ == "__main__":
    main(sys.argv[1])
