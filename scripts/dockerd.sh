#!/usr/bin/env bash
# Start dockerd where none runs, also after a run that was killed and left its pid files behind.
set -euo pipefail
cd "$(dirname "$0")/.."
answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
if ! answers; then
    echo "starting dockerd"
    for file in /var/run/docker.pid /run/docker/containerd/containerd.pid; do
        if [ -e "$file" ] && ! kill -0 "$(cat "$file")" 2>/dev/null; then rm -f "$file"; fi
    done
    mkdir -p .lab
    # Detached from this terminal and its process group: the lab outlives make.
    setsid nohup dockerd >.lab/dockerd.log 2>&1 </dev/null &
    for _ in $(seq 300); do
        if answers; then break; fi
        sleep 0.2
    done
    answers || { echo "dockerd does not answer; the end of .lab/dockerd.log:"; tail -20 .lab/dockerd.log; exit 1; }
fi
# Ten machines with systemd, containerd and a kubelet each need more inotify instances than the default of 128.
if [ "$(sysctl -n fs.inotify.max_user_instances)" -lt 8192 ]; then sysctl -qw fs.inotify.max_user_instances=8192; fi
