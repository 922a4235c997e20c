#!/usr/bin/env bash
# Pushes a packed chart and prints its reference: push-chart.sh ARCHIVE REGISTRY/PATH -> REGISTRY/PATH/NAME@sha256:…
# HELM_OPTIONS: options for `helm push`, such as --plain-http for a registry on loopback.
set -euo pipefail
archive=$1 path=$2
read -r -a options <<<"${HELM_OPTIONS:-}"
said=$(helm push "$archive" "oci://$path" ${options[@]+"${options[@]}"} 2>&1) || { printf '%s\n' "$said" >&2; exit 1; }
digest=$(sed -n 's/^Digest: *//p' <<<"$said")
[ -n "$digest" ] || { printf 'helm push told no digest:\n%s\n' "$said" >&2; exit 1; }
name=$(basename "$archive" .tgz | sed -E 's/-[0-9]+\.[0-9]+\.[0-9]+.*$//')
printf '%s/%s@%s\n' "$path" "$name" "$digest"
