#!/usr/bin/env bash
# Runs the unit and integration tests on a major version of Node. With the project's own version (26) they run on the
# build; any other version is installed beside it and runs the source.
set -euo pipefail
cd "$(dirname "$0")/.."

major=${1:-26}
if [ "$major" = 26 ]; then exec npm test; fi
beside=.cache/node$major
npm install --prefix "$beside" --no-save --loglevel=error "node@$major"
"$beside/node_modules/.bin/node" --version
PATH="$PWD/$beside/node_modules/.bin:$PATH" node node_modules/vitest/vitest.mjs run --project unit --project fast
