# Installs the missing tools of a verb of build.sh or a part of its tests. Sourced; `need` is quick when nothing is missing.

tools_dir=${XDG_CACHE_HOME:-${HOME:?is not set: set it, or XDG_CACHE_HOME}/.cache}/tidelock # outlives `./build.sh clean` and is shared by all work trees
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
export CHROMIUM_SHELL=${CHROMIUM_SHELL:-/usr/bin/chromium-headless-shell}
export CHROMEDRIVER=${CHROMEDRIVER:-/usr/bin/chromedriver}
export FIREFOX=${FIREFOX:-/usr/bin/firefox-esr}

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
die() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# The only list of needs: a verb or a part of the tests → tools, and other verbs or parts whose needs it includes.
needs_of() {
  case $1 in
    build) echo rust clang sqlite_sources npm npm:scripts/types ;; # and wasm_bindgen, which scripts/wasm.sh installs meanwhile
    demo) echo build npm:tests/remote ;;
    check) echo demo chromium ;;
    native | simulate | mutants) echo rust clang sqlite_sources ;;
    lint) echo native npm ;;
    web) echo rust clang sqlite_sources wasm_bindgen chromium ;;
    typescript | crate) echo build ;;
    integrations) echo build chromium chromium_shell npm:tests/remote npm:tests/integrations/vitest ;;
    packaging) echo build chromium chromium_shell npm:tests/bundlers npm:tests/packaging/typescript npm:tests/remote ;;
    bundlers) echo packaging npm:tests/bundlers/more npm:tests/bundlers/next npm:tests/bundlers/parcel npm:tests/bundlers/sveltekit ;;
    node) echo build sqlite3 npm:tests/remote ;;
    remote) echo npm npm:tests/remote ;;
    e2e) echo build chromium chromium_shell npm:tests/remote ;;
    browsers) echo build firefox webkit npm:tests/remote npm:tests/browsers ;;
    docs) echo build chromium npm:scripts/docs ;;
    audit) echo rust cargo_deny ;;
    release) echo build npm:tests/packaging/typescript cargo_deny ;;
    leptos) echo web npm chromium_shell npm:tests/remote ;;
    bench | profile) echo build chromium npm:benches/browser npm:tests/remote ;;
    *) die "nothing is known of the needs of '$1'" ;;
  esac
}

# need VERB...: installs all missing tools; Debian packages at once, beside what needs none of them.
need() {
  local tool tools=() later=() debian=() brew=() optional=() begun=()
  collect "$@"
  for tool in "${tools[@]}"; do
    case $tool in
      clang) have clang-19 && have llvm-ar-19 || { debian+=(clang-19 llvm-19); brew+=(llvm@19); } ;;
      chromium) [ -x "$CHROMIUM" ] && [ -x "$CHROMEDRIVER" ] || { debian+=(chromium chromium-driver); brew+=(chromium chromedriver); } ;;
      chromium_shell) [ -x "$CHROMIUM_SHELL" ] || optional+=(chromium-headless-shell) ;;
      firefox) [ -x "$FIREFOX" ] || { debian+=(firefox-esr); brew+=(firefox); } ;;
      webkit) have WebKitWebDriver && have xvfb-run && have xauth || debian+=(webkit2gtk-driver xvfb xauth) ;;
      sqlite3) have sqlite3 || { debian+=(sqlite3); brew+=(sqlite); } ;;
      *) later+=("$tool") ;;
    esac
  done
  install_packages & begun+=($!)
  for tool in "${later[@]}"; do
    case $tool in
      npm) need_npm & begun+=($!) ;;
      npm:*) need_npm "${tool#npm:}" & begun+=($!) ;;
      rust) need_rust ;;
      wasm_bindgen) need_wasm_bindgen ;;
    esac
  done
  for tool in "${begun[@]}"; do wait "$tool"; done
  for tool in "${later[@]}"; do
    case $tool in
      npm* | rust | wasm_bindgen) ;;
      *) "need_$tool" ;;
    esac
  done
}

# Returns the tools of verbs and parts, each once, in the order of the list.
collect() {
  local name
  for name in "$@"; do
    case " ${tools[*]} " in *" $name "*) continue ;; esac
    case $name in
      npm:* | npm | rust | clang | wasm_bindgen | sqlite_sources | cargo_deny | chromium | chromium_shell | firefox | webkit | sqlite3) tools+=("$name") ;;
      *) collect $(needs_of "$name") ;;
    esac
  done
}

# Installs what `need` gathered. Of the optional packages those that this system has: tests run without them, too, but for longer.
install_packages() {
  add_optional
  [ ${#debian[@]} -gt 0 ] || return 0
  if ! have apt-get; then
    ! have brew || die "these are missing: brew install ${brew[*]:-(no formula for ${debian[*]})}; then name them in CHROMIUM, CHROMEDRIVER, FIREFOX, or link clang-19 and llvm-ar-19 into PATH"
    die "these packages of Debian or Ubuntu are missing, and there is no apt-get here: ${debian[*]}"
  fi
  local sudo=
  if [ "$(id -u)" != 0 ]; then sudo -n true 2>/dev/null || die "run as root: apt-get install ${debian[*]}"; sudo=sudo; fi
  say "apt-get install ${debian[*]}"
  $sudo apt-get update -qq
  add_optional # a fresh system knows of no package before
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${debian[@]}" >/dev/null
}

add_optional() {
  local package
  for package in "${optional[@]}"; do
    if apt-cache show "$package" >/dev/null 2>&1; then debian+=("$package"); fi
  done
}

# Installs the toolchain of rust-toolchain.toml.
need_rust() {
  have cargo || die 'Rust is missing: install it with rustup'
  have rustup || return 0
  local installed=
  installed=$(RUSTUP_AUTO_INSTALL=0 rustup component list --installed 2>/dev/null) || true
  case $installed in
    *clippy*rust-src*rust-std-wasm32-unknown-unknown*rustfmt*) ;;
    *) say 'rustup: the toolchain of rust-toolchain.toml'; rustup toolchain install ;;
  esac
}

# Unoptimised: it runs 2 s longer, but compiles two minutes faster. Without TLS: the runner of tests talks to a driver on this machine only.
need_wasm_bindgen() {
  local version
  version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
  export PATH="$tools_dir/wasm-bindgen-$version/bin:$PATH"
  if ! have wasm-bindgen || [[ $(wasm-bindgen --version) != "wasm-bindgen $version" ]]; then
    say "cargo install wasm-bindgen-cli $version (a minute or two, once)"
    install_wasm_bindgen "$version" --locked || { say 'again, without its lock file'; install_wasm_bindgen "$version"; }
  fi
}

# install_wasm_bindgen VERSION [--locked]. A mirror may lack the newest versions, which the tool's own lock file names. At the lowest
# priority: it takes what the crate and the packages leave of the processor.
install_wasm_bindgen() {
  CARGO_PROFILE_RELEASE_OPT_LEVEL=0 nice -n 19 cargo install wasm-bindgen-cli --version "$@" --root "$tools_dir/wasm-bindgen-$1" --quiet \
    --no-default-features --bin wasm-bindgen --bin wasm-bindgen-test-runner
}

need_cargo_deny() {
  export PATH="$PATH:$tools_dir/cargo-deny/bin"
  have cargo-deny && return
  say 'cargo install cargo-deny (some minutes, once)'
  cargo install --locked cargo-deny --root "$tools_dir/cargo-deny" --quiet
}

# Makes the folder that .cargo/config.toml names: SQLite's sources of the native build, so that both builds have the same version, with the
# changes of scripts/sqlite-sources.mjs.
need_sqlite_sources() {
  local sources
  sources=$(cargo metadata --format-version 1 --locked --quiet | node -e '
    const { packages } = JSON.parse(require("fs").readFileSync(0, "utf8"))
    console.log(require("path").dirname(packages.find((p) => p.name === "libsqlite3-sys").manifest_path) + "/sqlite3")')
  [ -f "$sources/sqlite3.c" ] || die "no SQLite sources in $sources"
  node scripts/sqlite-sources.mjs "$sources" .cache/sqlite3
}

# need_npm [FOLDER]: installs node_modules by the lock file.
need_npm() {
  local folder=${1:-.}
  have npm || die 'Node 20.19 or later, with npm, is missing'
  if [ ! "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ]; then
    say "npm ci in $folder"
    npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error
    touch "$folder/node_modules/.package-lock.json"
  fi
}
