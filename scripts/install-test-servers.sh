#!/usr/bin/env bash
# Installs the frameworks that the tests run behind the proxy, from their own lockfile, into test/servers/node_modules.
# They are not dependencies of the project and must never become dependencies.
set -euo pipefail
cd "$(dirname "$0")/../test/servers"

wanted=$(sha256sum package-lock.json)
if [ "$(cat node_modules/.installed 2>/dev/null)" = "$wanted" ]; then exit 0; fi
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
printf '%s\n' "$wanted" >node_modules/.installed
