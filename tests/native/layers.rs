//! Dependencies point down only: reads every path of `src/` that leaves its module, and holds the table of `src/lib.rs`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The modules by layer, lowest first. Modules of one layer may use each other, except the concepts.
const LAYERS: [&[&str]; 8] = [
    &["error", "value", "time", "collections", "memory", "panics"],
    &["sqlite"],
    &["ports"],
    &["format"],
    CONCEPTS,
    &["engine"],
    &["browser"],
    &["wasm"],
];

/// One folder a concept: none of them knows another.
const CONCEPTS: &[&str] =
    &["store", "migrate", "schema", "snapshot", "lock", "sync", "live", "health", "audit", "upkeep", "tabs"];

/// What `src/lib.rs` gives a second name to.
const ALIASES: [(&str, &str); 5] =
    [("Error", "error"), ("ErrorCode", "error"), ("Result", "error"), ("Timestamp", "time"), ("Value", "value")];

/// Crates that only exist in a browser.
const BROWSER_CRATES: [&str; 7] =
    ["wasm_bindgen", "wasm_bindgen_futures", "serde_wasm_bindgen", "js_sys", "web_sys", "rexie", "gloo_timers"];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// What is wrong with one file; `path` is relative to `src/`.
fn violations(path: &str, source: &str) -> Vec<String> {
    let home = module_path(path);
    let Some(from) = home.first() else { return Vec::new() };
    let tokens = tokens(source);
    let mut found = BTreeSet::new();
    let Some(own) = layer(from) else { return vec![format!("{path}: `{from}` is in no layer")] };
    for target in targets(&home, &tokens) {
        let target = ALIASES.iter().find(|(alias, _)| *alias == target).map_or(target.as_str(), |(_, module)| module);
        match layer(target) {
            _ if target == from => {}
            None => _ = found.insert(format!("{path}: `crate::{target}` is in no layer")),
            Some(other) if other > own => _ = found.insert(format!("{path}: `{from}` is below `{target}`")),
            Some(other) if other == own && CONCEPTS.contains(&target) => {
                found.insert(format!("{path}: the concept `{from}` uses the concept `{target}`"));
            }
            Some(_) => {}
        }
    }
    let in_browser = ["browser", "wasm"].contains(&from.as_str());
    for token in &tokens {
        if BROWSER_CRATES.contains(&token.as_str()) && !in_browser {
            found.insert(format!("{path}: `{token}` outside of browser/ and wasm/"));
        }
        if token == "unsafe" && from != "sqlite" {
            found.insert(format!("{path}: `unsafe` outside of sqlite/"));
        }
    }
    found.into_iter().collect()
}

/// `sync/pull.rs` → `sync`, `pull`; `sync/mod.rs` → `sync`; `lib.rs` → nothing.
fn module_path(path: &str) -> Vec<String> {
    let mut names: Vec<_> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib")) {
        names.pop();
    }
    names
}

/// The top modules that a file's paths lead to, where these leave it by `crate::` or `super::`.
fn targets(home: &[String], tokens: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    // The inline modules that are open, with the depth of their braces: `super` means less inside of them.
    let (mut open, mut depth): (Vec<(String, usize)>, usize) = (Vec::new(), 0);
    let mut at = 0;
    while at < tokens.len() {
        let starts = at == 0 || tokens[at - 1] != "::" || tokens[at] == "crate";
        match tokens[at].as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                open.pop_if(|(_, opened)| *opened == depth);
            }
            "mod" if tokens.get(at + 2).is_some_and(|next| next == "{") => {
                open.push((tokens[at + 1].clone(), depth));
            }
            // In `pub(crate)` no path follows, nor in `super::{`'s own tokens, which are read with their path.
            "crate" | "super" if starts && tokens.get(at + 1).is_some_and(|next| next == "::") => {
                let here: Vec<_> = home.iter().cloned().chain(open.iter().map(|(name, _)| name.clone())).collect();
                at = tree(&here, tokens, at, &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads a path or a tree of paths from `at`, where names are looked up in `prefix`; returns where it ends.
fn tree(prefix: &[String], tokens: &[String], mut at: usize, found: &mut Vec<String>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("crate") => path.clear(),
            Some("super") => _ = path.pop(),
            Some("self") => {}
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = if tokens[at] == "," { at + 1 } else { tree(&path, tokens, at, found) };
                }
                return at + 1;
            }
            Some(name) => path.push(name.to_owned()),
            None => return at,
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            found.extend(path.first().cloned());
            // `name as other`
            return if tokens.get(at).is_some_and(|token| token == "as") { at + 2 } else { at };
        }
        at += 1;
    }
}

/// Names, `::` and single characters; without comments, strings and characters.
fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let starts = |at: usize, text: &str| text.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        if starts(at, "//") {
            while chars.get(at).is_some_and(|c| *c != '\n') {
                at += 1;
            }
        } else if starts(at, "/*") {
            let mut depth = 0;
            while at < chars.len() {
                let step = if starts(at, "/*") { 1 } else { -i32::from(starts(at, "*/")) };
                depth += step;
                at += if step == 0 { 1 } else { 2 };
                if depth == 0 {
                    break;
                }
            }
        } else if c == '"' {
            at = after_string(&chars, at);
        } else if c == '\'' {
            // A character ends with a quote; a lifetime has none.
            let escaped = chars.get(at + 1) == Some(&'\\');
            let end = (at + 2 + usize::from(escaped)..at + 12).find(|end| chars.get(*end) == Some(&'\''));
            at = match end {
                Some(end) if escaped || end == at + 2 => end + 1,
                _ => at + 1,
            };
        } else if is_name(c) {
            let name: String = chars[at..].iter().take_while(|c| is_name(**c)).collect();
            at += name.chars().count();
            let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
            if ["r", "br", "cr"].contains(&name.as_str()) && chars.get(at + hashes) == Some(&'"') {
                let end = format!("\"{}", "#".repeat(hashes));
                at += hashes + 1;
                while at < chars.len() && !starts(at, &end) {
                    at += 1;
                }
                at += end.len();
            } else {
                tokens.push(name);
            }
        } else if starts(at, "::") {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            at += 1;
        }
    }
    tokens
}

fn after_string(chars: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while let Some(c) = chars.get(at) {
        match c {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

#[test]
fn dependencies_point_down_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&root);
    let mut found = Vec::new();
    let mut edges = 0;
    for file in &files {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        let source = fs::read_to_string(file).unwrap();
        edges += targets(&module_path(&path), &tokens(&source)).len();
        found.extend(violations(&path, &source));
    }
    assert!(files.len() > 20 && edges > 50, "read {} files with {edges} edges: too few to believe", files.len());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_module_of_the_crate_has_a_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let tokens = tokens(&fs::read_to_string(root).unwrap());
    let modules: BTreeSet<_> =
        tokens.windows(3).filter(|three| three[0] == "mod" && three[2] == ";").map(|three| three[1].as_str()).collect();
    assert_eq!(modules, LAYERS.iter().flat_map(|modules| modules.iter().copied()).collect());
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
        ("util/text.rs", "fn f() {}"),
        ("store/log.rs", "use crate::util;"),
    ] {
        assert_eq!(violations(path, source).len(), 1, "{path}: {source}");
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
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
        ("time.rs", "use crate::error::Error;"),
    ] {
        assert_eq!(violations(path, source), Vec::<String>::new(), "{path}: {source}");
    }
}
