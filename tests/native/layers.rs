//! Dependencies point down only: reads every path in `src/` that leaves its module, and enforces the table of
//! `src/lib.rs`.

use std::collections::BTreeSet;

use proc_macro2::TokenTree;

use crate::source::{self, Names, module_of, tokens};

/// The modules by layer, lowest first. Modules of one layer may use each other, except the concepts.
const LAYERS: [&[&str]; 8] = [
    &["error", "value", "time", "collections", "memory", "panics"],
    &["sqlite"],
    &["ports"],
    &["format"],
    CONCEPTS,
    &["engine"],
    &["browser", "native"],
    &["api", "wasm"],
];

/// One folder per concept: concepts don't use each other.
const CONCEPTS: &[&str] =
    &["store", "migrate", "schema", "snapshot", "lock", "sync", "live", "health", "audit", "maintain", "tabs"];

/// Modules of one layer that don't use each other: they are for different targets, or for different users.
const APART: [[&str; 2]; 2] = [["browser", "native"], ["api", "wasm"]];

/// The aliases that `src/lib.rs` defines.
const ALIASES: [(&str, &str); 6] = [
    ("Params", "api"),
    ("Error", "error"),
    ("ErrorCode", "error"),
    ("Result", "error"),
    ("Timestamp", "time"),
    ("Value", "value"),
];

/// Crates that only exist in a browser.
const BROWSER_CRATES: [&str; 7] =
    ["wasm_bindgen", "wasm_bindgen_futures", "serde_wasm_bindgen", "js_sys", "web_sys", "rexie", "gloo_timers"];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// Returns the violations in one file; `path` is relative to `src/`.
fn violations(path: &str, source: &str) -> Vec<String> {
    let home = module_of(path);
    let Some(from) = home.first() else { return Vec::new() };
    let mut found = BTreeSet::new();
    let Some(own) = layer(from) else { return vec![format!("{path}: `{from}` is in no layer")] };
    let names = Names::of(&home, &tokens(source.parse().expect("tokens of Rust")));
    let given_out = names.given_out.iter().map(|(_, path)| path);
    for target in names.paths.iter().chain(given_out).filter_map(|path| path.first()) {
        let target = ALIASES.iter().find(|(alias, _)| alias == target).map_or(target.as_str(), |(_, module)| module);
        match layer(target) {
            _ if target == from => {}
            None => _ = found.insert(format!("{path}: `crate::{target}` is in no layer")),
            Some(other) if other > own => _ = found.insert(format!("{path}: `{from}` is below `{target}`")),
            Some(_) if APART.iter().any(|pair| pair.contains(&target) && pair.contains(&from.as_str())) => {
                found.insert(format!("{path}: `{from}` and `{target}` have nothing to do with each other"));
            }
            Some(other) if other == own && CONCEPTS.contains(&target) => {
                found.insert(format!("{path}: the concept `{from}` uses the concept `{target}`"));
            }
            Some(_) => {}
        }
    }
    let in_browser = ["browser", "wasm"].contains(&from.as_str());
    for name in &names.all {
        if BROWSER_CRATES.contains(&name.as_str()) && !in_browser {
            found.insert(format!("{path}: `{name}` outside of browser/ and wasm/"));
        }
        if name == "unsafe" && from != "sqlite" {
            found.insert(format!("{path}: `unsafe` outside of sqlite/"));
        }
    }
    found.into_iter().collect()
}

#[test]
fn dependencies_point_down_only() {
    let files = source::files();
    let mut found = Vec::new();
    let mut edges = 0;
    for (path, text) in &files {
        edges += Names::of(&module_of(path), &tokens(text.parse().unwrap())).paths.len();
        found.extend(violations(path, text));
    }
    assert!(files.len() > 20 && edges > 50, "read {} files with {edges} edges: too few to believe", files.len());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_module_of_the_crate_has_a_layer() {
    let tokens = tokens(source::files()["lib.rs"].parse().unwrap());
    let modules: BTreeSet<_> = tokens
        .windows(2)
        .filter_map(|two| match two {
            [TokenTree::Ident(keyword), TokenTree::Ident(name)] if keyword == "mod" => Some(name.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(modules, LAYERS.iter().flat_map(|modules| modules.iter().map(ToString::to_string)).collect());
}

#[test]
fn the_pragmas_of_tables_are_read_in_one_file() {
    let about_tables = ["pragma_table_", "pragma_index_", "pragma_foreign_key_list"];
    let reads = |text: &str| about_tables.iter().any(|pragma| text.contains(pragma));
    let files = source::files();
    let found: Vec<_> =
        files.iter().filter(|(path, text)| !source::is_test(path) && reads(text)).map(|(path, _)| path).collect();
    assert_eq!(found, ["sqlite/tables.rs"]);
}

#[test]
fn each_kind_of_violation_is_seen() {
    for (path, source) in [
        ("sqlite/vfs.rs", "use crate::ports::Clock;"),
        ("sync/pull.rs", "use crate::{error::Result, store::Storage};"),
        ("sync/pull.rs", "use crate::{\n    error::{Error, Result},\n    sqlite::{self, Connection},\n    live,\n};"),
        ("sync/mod.rs", "fn f() -> super::migrate::History { todo!() }"),
        ("sync/pull.rs", "use super::super::lock::acquire;"),
        ("sync/pull.rs", "use super::{super::{lock}, other};"),
        ("sync/pull.rs", "mod tests { use super::super::super::health; }"),
        ("sync/pull.rs", "mod a { mod b { } use super::super::super::health; }"),
        ("store/log.rs", "let x = crate::engine::Database::default();"),
        ("store/log.rs", "macro_rules! m { () => { $crate::engine::go() } }"),
        ("store/log.rs", "let a: &'static str = x; use crate::engine as e;"),
        ("store/log.rs", "let quote = '\"'; use crate::engine; let other = '\"';"),
        ("store/log.rs", "let quote = '\\''; use crate::engine;"),
        ("engine/open.rs", "use crate::browser::Locks;"),
        ("ports/clock.rs", "pub use crate::lock::OnBusy;"),
        ("store/idb.rs", "use web_sys::Window;"),
        ("engine/open.rs", "fn f(value: js_sys::Object) {}"),
        ("browser/idb.rs", "unsafe { f() }"),
        ("native/clock.rs", "use crate::api::Database;"),
        ("engine/open.rs", "use crate::native::Worker;"),
        ("api/open.rs", "use crate::wasm::Core;"),
        ("util/text.rs", "fn f() {}"),
        ("store/log.rs", "use crate::util;"),
    ] {
        assert_eq!(violations(path, source).len(), 1, "{path}: {source}");
    }
}

#[test]
fn allowed_dependencies_are_not_reported() {
    for (path, source) in [
        ("lib.rs", "pub use error::Error; pub mod wasm;"),
        (
            "sync/pull.rs",
            "use crate::{Error, Result, Timestamp, Value, ports::Http, sqlite::Connection, sync::cursor};",
        ),
        (
            "sync/pull.rs",
            "use super::{cursor, super::{error, sqlite::Connection}}; pub(crate) fn f() {} pub(super) mod x;",
        ),
        ("sync/pull.rs", "mod tests { use super::super::merge; use super::*; } use super::merge;"),
        (
            "sync/pull.rs",
            "/// Like [`crate::store`].\n// crate::engine::x\n/* use crate::lock; /* */ unsafe */ fn f() {}",
        ),
        ("sync/pull.rs", "let a = \"crate::store::x \\\" unsafe\"; let b = r#\"use crate::live; \" web_sys\"#;"),
        ("engine/open.rs", "use crate::{store::Storage, migrate, lock, health::{self, assess}};"),
        ("sqlite/vfs.rs", "unsafe { f() }"),
        ("browser/locks.rs", "use wasm_bindgen::prelude::*; use crate::ports::Locks;"),
        ("wasm/mod.rs", "use crate::{browser, engine};"),
        ("api/open.rs", "use crate::{native::Worker, engine, store};"),
        ("time.rs", "use crate::error::Error;"),
    ] {
        assert_eq!(violations(path, source), Vec::<String>::new(), "{path}: {source}");
    }
}
