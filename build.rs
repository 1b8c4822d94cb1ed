//! Finds out whether SQLite is compiled with the preupdate hook, without which live queries know less of a commit.

fn main() {
    println!("cargo:rustc-check-cfg=cfg(preupdate_hook)");
    println!("cargo:rerun-if-env-changed=LIBSQLITE3_FLAGS");
    println!("cargo:rerun-if-changed=build.rs");
    // libsqlite3-sys reads the same variable. For the browser, .cargo/config.toml has the flags of another crate.
    let flags = std::env::var("LIBSQLITE3_FLAGS").unwrap_or_default();
    let is_wasm = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32");
    if is_wasm || flags.contains("SQLITE_ENABLE_PREUPDATE_HOOK") {
        println!("cargo:rustc-cfg=preupdate_hook");
    }
}
