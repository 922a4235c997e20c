#!/usr/bin/env bash
# Signs images and charts in a registry, each named by its digest: sign.sh REGISTRY/NAME@sha256:…
# Keyless by default, with the identity of the workflow that runs it. COSIGN_KEY: a key to sign with instead, which leaves
# no entry in the public log (COSIGN_PASSWORD decrypts the key). COSIGN_OPTIONS: more options for `cosign sign`, such as
# --allow-insecure-registry.
set -euo pipefail
[ $# -gt 0 ] || { echo 'Usage: sign.sh REGISTRY/NAME@sha256:…' >&2; exit 2; }
read -r -a options <<<"${COSIGN_OPTIONS:-}"
if [ -n "${COSIGN_KEY:-}" ]; then options+=(--key "$COSIGN_KEY" --tlog-upload=false); fi
for reference in "$@"; do
  # A tag can be moved between signing and reading.
  case $reference in *@sha256:*) ;; *) echo "$reference has no digest: name it as NAME@sha256:…" >&2; exit 2 ;; esac
  cosign sign --yes --recursive ${options[@]+"${options[@]}"} "$reference"
done
