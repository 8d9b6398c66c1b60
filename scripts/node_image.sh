#!/usr/bin/env bash
# Make the image of the lab's machines: Debian 12 that boots systemd and answers ssh, with the packages that roles ask for already there
# (the lab's network reaches no mirror), and those that are named. The tag is the digest of this folder's recipe: changed, it is made anew; unchanged, this ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."
recipe=scripts/node_image
tag="selfhosted-kubernetes-node:$({ cat "$recipe"/* scripts/node_image.sh; echo "$@"; } | sha256sum | cut -c1-12)"
if docker image inspect "$tag" >/dev/null 2>&1; then echo "$tag"; exit 0; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "making $tag (a minute or two)" >&2
include=$(grep -v '^#' "$recipe/packages" | cat - <(printf '%s\n' "$@") | sed '/^$/d' | paste -sd,)
mmdebstrap --quiet --variant=minbase --include="$include" \
    --customize-hook="copy-in $recipe/entrypoint $recipe/kubernetes-lab.conf /tmp" \
    --customize-hook="chroot \"\$1\" sh -e -c '$(cat "$recipe/customize")'" \
    bookworm "$work/node.tar" >&2
docker import --change 'ENTRYPOINT ["/usr/local/sbin/lab-entrypoint"]' "$work/node.tar" "$tag" >/dev/null
echo "$tag"
