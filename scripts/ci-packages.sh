#!/usr/bin/env bash
# Installs the Debian packages that the tests need, as root or with sudo. scripts/ci-e2e-setup.sh installs what the
# end-to-end tests need in addition.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
as_root apt-get -qq update
as_root apt-get -qq install -y --no-install-recommends \
  curl openssl jq procps nginx-light haproxy apache2-bin python3-flask python3-django python3-aiohttp python3-waitress gunicorn \
  redis-server valkey-server prometheus chromium >/dev/null
