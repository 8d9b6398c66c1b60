#!/usr/bin/env bash
# `make bench`: fresh machines, then a site run, a run with nothing to do, for each lab; beside a plain bash installation of lab-small's cluster parts.
# Prints a table with its bounds, and fails when a run has more task-runs than its bound; seconds depend on the machine, so they are only said.
# docs/performance.md says what the figures mean. RUNS=n repeats each measurement.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ANSIBLE_CALLBACKS_ENABLED=selfhosted.kubernetes.task_runs
failed=0

play() { ansible-playbook "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }
fresh() { # fresh LAB: its machines, new
    play playbooks/lab_destroy.yml
    play -i "inventories/$1" playbooks/lab_create.yml
}
site() { # site TITLE LAB SECONDS [RUNS]: one run, timed from command to prompt, with its bounds
    local began seconds runs note=""
    began=$(date +%s.%N)
    SELFHOSTED_TASK_RUNS=$work/runs.json play -i "inventories/$2" playbooks/site.yml
    seconds=$(awk "BEGIN {print $(date +%s.%N) - $began}")
    runs=$(python3 -c "import json; print(json.load(open('$work/runs.json'))['runs'])")
    if awk "BEGIN {exit $seconds <= $3}"; then note="  TOO SLOW"; fi
    if [ "$runs" -gt "${4:-$runs}" ]; then note+="  TOO MANY TASK-RUNS" failed=1; fi
    printf '%-24s %6.1f s %-12s %4d task-runs%s%s\n' "$1" "$seconds" "(bound: $3)" "$runs" "${4:+ (bound: $4)}" "$note"
}

play -i inventories/lab playbooks/artifacts.yml
printf 'load before: %s\n' "$(cut -d' ' -f1 /proc/loadavg)"
for _ in $(seq "${RUNS:-1}"); do
    fresh lab-small
    floor=$(scripts/bench_bash.sh inventories/lab-small)
    printf '%-24s %6.1f s\n' "bash floor, lab-small" "$(tail -1 <<<"$floor")"
    fresh lab-small
    site "site, lab-small" lab-small 60 20
    site "site again, lab-small" lab-small 30 18
    fresh lab
    site "site, lab" lab 120 24
    site "site again, lab" lab 30 22
done
play playbooks/lab_destroy.yml
exit "$failed"
