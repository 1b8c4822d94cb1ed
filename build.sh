#!/usr/bin/env bash
# Builds, shows, tests and measures tidelock. Each verb installs what it lacks first.
set -euo pipefail
# Of the clone, also through a link to this file: `clean` would delete in another folder.
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

usage() {
  cat <<'TEXT'
usage: ./build.sh [verb]
  build        the wasm and the npm package in pkg-js (the default)
  demo [args]  builds, then starts the demo with its embedded remote: --port N; --check drives it headless and exits 0 or 1, --shots FOLDER
  test [what]  everything: formatting, lints, native, browser, packaging and end-to-end tests; or the named parts and test files;
                --changed [commit]: what the changes since that commit (HEAD) can affect; --all: each scenario and each end-to-end test in each
                browser and thread, and the parts bundlers, docs and leptos, which otherwise run only when they are named
  simulate     random workloads over a store that misbehaves: --seeds N (10000 by default), or --seed S for that one;
                `simulate sync`: random configurations and histories of the sync (100000 by default);
                `simulate kills`: browsers and workers are killed in the middle of their work, --rounds N times in each test (60)
  mutants part [names] breaks the code on purpose, in the ways that tests/mutants/<part>.mjs lists, and tells which the tests don't notice
  fuzz         random input of every kind that comes from outside, given to the built package: --seconds N (600 by default), --target T,
                --seed S for that one case, --from S for the same cases each time; what ever failed is in tests/fuzz/corpus
  bench [suites] the in-browser benchmark against its peers: --rounds N, --json FILE, --check against benches/baseline.json, --update
                that and the tables in the docs; `bench page` serves it for a browser of yours
  profile [s/s] Chrome's profiler over a step of it: `profile app/groups`
  names [file] a stack of the package, from a file or standard input, with the names of the wasm's functions: of this very build
  docs [args]  builds the site of the documents, with the reference, into .cache/docs/site, and checks its links; --base /path/ for a site below it
  audit        known vulnerabilities, licences and sources of all dependencies, by cargo-deny and npm audit
  release X.Y.Z sets the version, dates the changelog, checks all that would be published, commits and tags; publishing is up to
                .github/workflows/release.yml. --check [X.Y.Z] only checks
  clean        removes what was built (the wasm-bindgen tool in ~/.cache/tidelock stays)
  help         this text
TEXT
}

verb=${1:-build}
[ $# -eq 0 ] || shift
for word in "$@"; do
  case $word in -h | --help) verb=help ;; esac
done
case $verb in
  build | audit | clean)
    [ $# -eq 0 ] || { echo "build.sh: $verb takes no arguments, not '$*'" >&2; exit 2; }
    ;;
esac
case $verb in
  build)
    scripts/wasm.sh
    scripts/package.sh
    node scripts/size.mjs
    ;;
  demo)
    ! command -v node >/dev/null || node www/demo-options.mjs "$@" # wrong ones are refused before the build
    case " $* " in *' --check '*) scripts/wasm.sh check ;; *) scripts/wasm.sh demo ;; esac
    scripts/package.sh
    exec node www/demo.mjs "$@"
    ;;
  test) exec scripts/test.sh "$@" ;;
  simulate) exec scripts/simulate.sh "$@" ;;
  mutants)
    source scripts/tools.sh
    need mutants
    exec node scripts/mutants.mjs "$@"
    ;;
  fuzz)
    scripts/wasm.sh
    scripts/package.sh
    exec node tests/fuzz/fuzz.mjs "$@"
    ;;
  bench)
    scripts/wasm.sh
    scripts/package.sh
    exec scripts/bench.sh "$@"
    ;;
  profile)
    scripts/wasm.sh
    scripts/package.sh
    exec scripts/profile.sh "$@"
    ;;
  names)
    scripts/wasm.sh >&2
    exec node scripts/names.mjs "$@"
    ;;
  docs)
    source scripts/tools.sh
    need docs
    scripts/wasm.sh
    scripts/package.sh
    cargo doc --locked --no-deps -p tidelock --quiet
    exec node scripts/docs/build.mjs --rust "$@"
    ;;
  audit) exec scripts/audit.sh ;;
  release)
    case "${1:-}" in
      --check | [0-9]*.[0-9]*.[0-9]*) ;;
      *) usage >&2; exit 2 ;;
    esac
    source scripts/tools.sh
    need release
    exec node scripts/release.mjs "$@"
    ;;
  clean)
    cargo clean --quiet
    find . -name node_modules -type d -prune -exec rm -rf {} +
    rm -rf .cache pkg-js/{dist,generated,types,docs} pkg-js/*.tgz www/dist
    rm -rf tests/bundlers/next/.next tests/bundlers/sveltekit/.svelte-kit tests/bundlers/sveltekit/build
    ;;
  help | -h | --help) usage ;;
  *)
    usage >&2
    echo "build.sh: there is no verb '$verb'" >&2
    exit 2
    ;;
esac
