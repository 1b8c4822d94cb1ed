# Installs what the build lacks. Sourced by build.sh and the other scripts; every function is quick when there is nothing to do.

tools_dir=${XDG_CACHE_HOME:-$HOME/.cache}/tidelock # outlives `./build.sh clean` and is shared by all work trees
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
export CHROMEDRIVER=${CHROMEDRIVER:-/usr/bin/chromedriver}

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
die() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# apt_install HINT PACKAGE...
apt_install() {
  local hint=$1 sudo=; shift
  have apt-get || die "$hint"
  if [ "$(id -u)" != 0 ]; then sudo -n true 2>/dev/null || die "$hint (no root here: apt-get install $*)"; sudo=sudo; fi
  say "apt-get install $*"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need_rust() {
  have cargo || die 'Rust is missing: install it with rustup'
  if have rustup; then
    local target component
    target=$(rustup target list --installed)
    [[ $target == *wasm32-unknown-unknown* ]] || rustup target add wasm32-unknown-unknown
    component=$(rustup component list --installed)
    [[ $component == *rustfmt* && $component == *clippy* ]] || rustup component add rustfmt clippy
    [[ $component == *rust-src* ]] || rustup component add rust-src
  fi
}

need_clang() {
  if ! have clang-19 || ! have llvm-ar-19; then
    apt_install 'clang-19 and llvm-ar-19 are missing: they compile SQLite to wasm' clang-19 llvm-19
  fi
}

# SQLite's own shell: another reader of the files that the command line writes.
need_sqlite3() { have sqlite3 || apt_install 'sqlite3 is missing: tests read with it what the command line wrote' sqlite3; }

need_wasm_bindgen() {
  local version
  version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
  export PATH="$tools_dir/wasm-bindgen-$version/bin:$PATH"
  if ! have wasm-bindgen || [[ $(wasm-bindgen --version) != "wasm-bindgen $version" ]]; then
    say "cargo install wasm-bindgen-cli $version (takes minutes, once)"
    cargo install wasm-bindgen-cli --version "$version" --root "$tools_dir/wasm-bindgen-$version" --quiet
  fi
}

# The link that .cargo/config.toml names: SQLite's sources as the native build has them, so that both run the same version.
need_sqlite_sources() {
  local sources
  sources=$(cargo metadata --format-version 1 --locked --quiet | node -e '
    const { packages } = JSON.parse(require("fs").readFileSync(0, "utf8"))
    console.log(require("path").dirname(packages.find((p) => p.name === "libsqlite3-sys").manifest_path) + "/sqlite3")')
  [ -f "$sources/sqlite3.c" ] || die "no SQLite sources in $sources"
  mkdir -p .cache
  [ "$(readlink .cache/sqlite3 || true)" = "$sources" ] || ln -sfn "$sources" .cache/sqlite3
}

# need_npm [FOLDER]: node_modules as the lock file says.
need_npm() {
  local folder=${1:-.}
  have npm || die 'Node 20 with npm is missing'
  if [ ! "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ]; then
    say "npm ci in $folder"
    npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error
    touch "$folder/node_modules/.package-lock.json"
  fi
}

need_chromium() {
  if [ ! -x "$CHROMIUM" ] || [ ! -x "$CHROMEDRIVER" ]; then
    apt_install "Chromium and its driver are missing (or set CHROMIUM and CHROMEDRIVER)" chromium chromium-driver
  fi
}

# WebKit is Safari's engine. Its driver wants a screen; the drivers of the others come with the browser, or from crates.io.
need_other_browsers() {
  local version=0.37.1
  export FIREFOX=${FIREFOX:-/usr/bin/firefox-esr}
  export GECKODRIVER=${GECKODRIVER:-$tools_dir/geckodriver-$version/bin/geckodriver}
  if [ ! -x "$FIREFOX" ] || ! have WebKitWebDriver || ! have xvfb-run || ! have xauth; then
    apt_install 'Firefox, WebKit with its driver, or Xvfb are missing' firefox-esr webkit2gtk-driver xvfb xauth
  fi
  if [ ! -x "$GECKODRIVER" ]; then
    say "cargo install geckodriver $version (takes minutes, once)"
    cargo install geckodriver --version "$version" --locked --root "$tools_dir/geckodriver-$version" --quiet
  fi
}
