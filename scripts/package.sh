#!/usr/bin/env bash
# Builds the npm package from pkg-js/src: dist/index.js, the modules that only some apps import, and the types. Needs scripts/wasm.sh first.
set -euo pipefail
cd "$(dirname "$0")/../pkg-js"

printf '\033[1m==> package: types, bundle, notices\033[0m\n'
find dist -maxdepth 1 -name '*.js' -delete
find dist -name '*.d.ts' -delete
../node_modules/.bin/tsc -p tsconfig.json
# import.meta.url and the literal wasm URL must stay unchanged, because the user's bundler looks for them.
node ../scripts/bundle.mjs
# The parser of cron patterns, which few apps load.
../node_modules/.bin/esbuild src/base/cron.ts --bundle --format=esm --platform=neutral --target=es2022 --charset=utf8 --minify \
  --legal-comments=inline --outfile=dist/cron.js --log-level=warning
# The worker of a database: one file without imports.
../node_modules/.bin/esbuild src/worker/main.ts --bundle --format=esm --platform=neutral --target=es2022 --charset=utf8 \
  --outfile=dist/worker.js --log-level=warning
# Only Node loads this file, by name.
../node_modules/.bin/esbuild src/node/files.ts --bundle --format=esm --platform=node --target=node20 --charset=utf8 \
  --outfile=dist/node-files.js --log-level=warning
# The command line, beside the module that it uses.
../node_modules/.bin/tsc -p tsconfig.cli.json
../node_modules/.bin/esbuild src/cli/main.ts --bundle --format=esm --platform=node --target=node20 --charset=utf8 \
  --external:../index.js --outfile=dist/cli/main.js --log-level=warning
node ../scripts/notices.mjs > THIRD_PARTY_NOTICES.md
# For `npx tidelock` in this clone: npm made no link, because the file didn't exist yet.
ln -sf ../tidelock/dist/cli/main.js ../node_modules/.bin/tidelock
for file in ../README.md ../LICENSE*; do
  [ ! -f "$file" ] || cp "$file" .
done
