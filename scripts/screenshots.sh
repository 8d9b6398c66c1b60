#!/usr/bin/env bash
# Pictures of the status page for docs/, of the running HA lab: as it is, without its first master, without any. The masters are started again, however it ends.
# Needs chromium, cwebp (Debian: webp) and fonts-dejavu-core; look at the pictures before you commit them.
set -euo pipefail
cd "$(dirname "$0")/.."
export LAB=lab
outside=172.28.0.31
page=https://$outside:8443/
work=$(mktemp -d)
trap 'docker start m1 m2 m3 >/dev/null; rm -rf "$work"' EXIT
on_outside() { ssh -i .lab/id_ed25519 -o UserKnownHostsFile=.lab/known_hosts -o IdentitiesOnly=yes "root@$outside" "$@"; }

await() {
    for _ in $(seq 60); do
        if curl --silent --fail --cacert .lab/state/pki/ca/outside.crt "$page" | grep --quiet "$1"; then return; fi
        sleep 5
    done
    echo "the page does not come to say: $1" >&2
    return 1
}

picture() {
    chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --ignore-certificate-errors --user-data-dir="$work/profile" \
        "${@:3}" --window-size="$2" --screenshot="$work/$1.png" "$page" 2>/dev/null
    cwebp -quiet -q 50 "$work/$1.png" -o "docs/status-page-$1.webp"
    echo "docs/status-page-$1.webp: $(stat --format=%s "docs/status-page-$1.webp") bytes"
}

# Who takes the lab's messages, so that none fails; and some backups and drills to draw.
on_outside systemd-run --quiet --unit=webhook --collect /usr/bin/python3 -c "'
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers[\"Content-Length\"]))
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer((\"0.0.0.0\", 9999), Handler).serve_forever()'"
trap 'on_outside systemctl stop webhook || true; docker start m1 m2 m3 >/dev/null; rm -rf "$work"' EXIT
for _ in 1 2 3 4; do
    on_outside '/usr/local/sbin/backup run && /usr/local/sbin/backup drill' >/dev/null
    sleep 20
done

await "Everything answers, and no alert fires."
picture healthy 1000,2700
# As narrow as it gets, and in the dark.
picture phone 500,2400 --blink-settings=preferredColorScheme=0
docker kill m1 >/dev/null
await 'class="card alert warning"'
picture one-master-down 1000,2700
docker kill m2 m3 >/dev/null
await 'class="card alert critical"'
picture all-masters-down 1000,2700
