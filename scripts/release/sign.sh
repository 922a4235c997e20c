#!/usr/bin/env bash
# Signs images and charts in a registry, each named by its digest, and files: sign.sh REGISTRY/NAME@sha256:… FILE...
# A file's signature is written beside it, as FILE.sigstore.json.
# Keyless by default, with the identity of the workflow that runs it. COSIGN_KEY: a key to sign with instead, which leaves
# no entry in the public log (COSIGN_PASSWORD decrypts the key). COSIGN_OPTIONS: more options for `cosign sign`, such as
# --allow-insecure-registry.
set -euo pipefail
[ $# -gt 0 ] || { echo 'Usage: sign.sh REGISTRY/NAME@sha256:… | FILE...' >&2; exit 2; }
options=()
read -r -a registry <<<"${COSIGN_OPTIONS:-}"
if [ -n "${COSIGN_KEY:-}" ]; then
  options+=(--key "$COSIGN_KEY")
  # Cosign 3 refuses the flag of cosign 2, and takes a list of the services to use: here none.
  if cosign sign --help 2>&1 | grep -q -- '--signing-config'; then
    services=$(mktemp)
    trap 'rm -f "$services"' EXIT
    echo '{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}' >"$services"
    options+=(--signing-config "$services")
  else
    options+=(--tlog-upload=false)
  fi
fi
for reference in "$@"; do
  if [ -f "$reference" ]; then
    cosign sign-blob --yes ${options[@]+"${options[@]}"} --bundle "$reference.sigstore.json" "$reference" >/dev/null
    continue
  fi
  # A tag can be moved between signing and reading.
  case $reference in *@sha256:*) ;; *) echo "$reference has no digest: name it as NAME@sha256:…" >&2; exit 2 ;; esac
  cosign sign --yes --recursive ${options[@]+"${options[@]}"} ${registry[@]+"${registry[@]}"} "$reference"
done
