#!/usr/bin/env bash
# `make bench`: fresh machines, then a site run, a run with nothing to do, for each lab; beside a plain bash installation of lab-small's cluster parts.
# Prints a table; docs/performance.md says what the figures mean. RUNS=n repeats each measurement.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ANSIBLE_CALLBACKS_ENABLED=selfhosted.kubernetes.task_runs

play() { ansible-playbook "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }
fresh() { # fresh LAB: its machines, new
    play playbooks/lab_destroy.yml
    play -i "inventories/$1" playbooks/lab_create.yml
}
site() { # site TITLE LAB: one run, timed from command to prompt
    local began
    began=$(date +%s.%N)
    SELFHOSTED_TASK_RUNS=$work/runs.json play -i "inventories/$2" playbooks/site.yml
    printf '%-34s %6.1f s  %4d task-runs\n' "$1" "$(awk "BEGIN {print $(date +%s.%N) - $began}")" "$(python3 -c "import json; print(json.load(open('$work/runs.json'))['runs'])")"
}

play playbooks/artifacts.yml
printf 'load before: %s\n' "$(cut -d' ' -f1 /proc/loadavg)"
for _ in $(seq "${RUNS:-1}"); do
    fresh lab-small
    printf '%-34s %6.1f s\n' "bash floor, lab-small" "$(scripts/bench_bash.sh inventories/lab-small | tail -1 | grep -oE '[0-9.]+')"
    for lab in lab-small lab; do
        fresh "$lab"
        site "site, $lab" "$lab"
        site "site again, $lab" "$lab"
    done
done
play playbooks/lab_destroy.yml
