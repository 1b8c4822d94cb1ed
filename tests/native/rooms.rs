//! Dependencies inside modules: a room of `sync` or `engine` uses only the rooms before it, there are no cycles of
//! files, and each type name is defined once.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenTree};

use crate::source::{self, Module, Names, module_of, tokens, without_tests};

/// The rooms of the large modules: their folders and files. Each room may use those before it.
const ROOMS: [(&str, &[&str]); 3] = [
    (
        "sync",
        &[
            "values",
            "config",
            "report",
            "state",
            "postgrest",
            "schema",
            "outbox",
            "conflict",
            "apply",
            "pull",
            "jobs",
            "push",
            "schedule",
            "status",
        ],
    ),
    (
        "engine",
        &[
            "connection",
            "storage",
            "options",
            "environment",
            "migrations",
            "sync",
            "event",
            "database",
            "statements",
            "drivers",
            "lock",
            "lifecycle",
            "contents",
            "operations",
            "open",
            "recover",
            "folders",
            "moving",
            "typescript",
        ],
    ),
    (
        "api",
        &[
            "thread",
            "platform",
            "params",
            "decode",
            "rows",
            "thread",
            "event",
            "encryption",
            "remote_functions",
            "remote",
            "session",
            "inside",
            "engine_handle",
            "functions",
            "transaction",
            "migration",
            "options",
            "live",
            "migrations",
            "snapshots",
            "sync",
            "database",
            "per_user",
            "open",
            "group",
        ],
    ),
];

/// The modules whose types are those that users know: a type inside the crate may have the same name.
const FACES: [&str; 1] = ["api"];

/// One file: what it uses, re-exports and defines.
struct File {
    names: Names,
    /// The types, functions and constants that it defines outside of blocks.
    defined: BTreeSet<String>,
    types: Vec<String>,
}

impl File {
    fn of(module: &[String], text: &str) -> Self {
        let tokens = without_tests(tokens(text.parse().expect("tokens of Rust")));
        let mut file = Self { names: Names::of(module, &tokens), defined: BTreeSet::new(), types: Vec::new() };
        file.define(&tokens);
        file
    }

    /// Takes in the definitions, also those of foreign types and functions: `extern "C" { type Host; }`.
    fn define(&mut self, tokens: &[TokenTree]) {
        for pair in tokens.windows(2) {
            let [TokenTree::Ident(keyword), TokenTree::Ident(name)] = pair else { continue };
            let (keyword, name) = (keyword.to_string(), name.to_string());
            if ["struct", "enum", "trait", "type", "union"].contains(&&*keyword) {
                self.types.push(name.clone());
            }
            if ["struct", "enum", "trait", "type", "union", "fn", "const", "static"].contains(&&*keyword) {
                self.defined.insert(name);
            }
        }
        for three in tokens.windows(3) {
            if let [TokenTree::Ident(keyword), TokenTree::Literal(_), TokenTree::Group(block)] = three
                && keyword == "extern"
                && block.delimiter() == Delimiter::Brace
            {
                self.define(&source::tokens(block.stream()));
            }
        }
    }
}

/// The files of the crate, by their modules.
struct Crate(BTreeMap<Module, File>);

impl Crate {
    fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let read = |(path, text): (&str, &str)| (module_of(path), File::of(&module_of(path), text));
        Self(files.into_iter().map(read).collect())
    }

    /// Returns the file that defines a path, through the re-exports of others.
    fn home(&self, path: &[String]) -> Option<Module> {
        let mut path = path.to_vec();
        // The limit of chained re-exports.
        for _ in 0..8 {
            let length = (0..=path.len()).rev().find(|length| self.0.contains_key(&path[..*length]))?;
            let (module, rest) = path.split_at(length);
            let file = &self.0[module];
            let Some(name) = rest.first().filter(|name| !file.defined.contains(*name)) else {
                return Some(module.to_vec());
            };
            let named = file.names.given_out.iter().find(|(given, _)| given == name);
            let of_all = || {
                let all = file.names.given_out.iter().filter(|(given, _)| given == "*");
                all.map(|(_, from)| from).find(|from| self.0.get(*from).is_some_and(|file| file.defined.contains(name)))
            };
            path = match named {
                Some((_, behind)) => [behind, &rest[1..]].concat(),
                None => match of_all() {
                    Some(from) => [from, rest].concat(),
                    None => return Some(module.to_vec()),
                },
            };
        }
        None
    }

    /// Returns the other files that each file uses.
    fn uses(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let of = |(module, file): (&'_ Module, &'_ File)| -> BTreeSet<Module> {
            let homes = file.names.paths.iter().filter_map(|path| self.home(path));
            homes.filter(|home| home != module && !home.is_empty()).collect()
        };
        self.0.iter().map(|entry| (entry.0, of(entry))).collect()
    }

    /// Returns the uses of later rooms inside a module.
    fn misplaced(&self, top: &str, rooms: &[&str]) -> Vec<String> {
        let room = |module: &Module| match &module[..] {
            [first, room, ..] if first == top => Some(room.clone()),
            _ => None,
        };
        let place = |room: &str| rooms.iter().position(|known| *known == room);
        let mut found: BTreeSet<String> = BTreeSet::new();
        for (module, used) in self.uses() {
            let Some(own) = room(module) else { continue };
            let Some(at) = place(&own) else {
                found.insert(format!("{top}/{own} has no place among the rooms"));
                continue;
            };
            for other in used.iter().filter_map(room).filter(|other| place(other).is_some_and(|other| other > at)) {
                found.insert(format!("{}: `{own}` comes before `{other}`", module.join("/")));
            }
        }
        found.into_iter().collect()
    }

    /// Returns the files that are part of a dependency cycle.
    fn cycles(&self) -> Vec<String> {
        let mut uses = self.uses();
        // A file that no remaining file uses, or that uses no remaining file, is in no cycle.
        loop {
            let used: BTreeSet<Module> = uses.values().flatten().cloned().collect();
            let left: BTreeSet<Module> = uses.keys().map(|module| (*module).clone()).collect();
            let before = uses.len();
            uses.retain(|module, others| used.contains(*module) && others.iter().any(|other| left.contains(other)));
            if uses.len() == before {
                break;
            }
        }
        let left: BTreeSet<Module> = uses.keys().map(|module| (*module).clone()).collect();
        let among = |others: &BTreeSet<Module>| {
            let names = others.iter().filter(|other| left.contains(*other)).map(|other| other.join("/"));
            names.collect::<Vec<_>>().join(", ")
        };
        uses.iter().map(|(module, others)| format!("{} uses {}", module.join("/"), among(others))).collect()
    }

    /// Returns the type names that are defined more than once.
    fn shared_names(&self) -> Vec<String> {
        let mut homes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (module, file) in &self.0 {
            if module.first().is_some_and(|top| FACES.contains(&top.as_str())) {
                continue;
            }
            file.types.iter().for_each(|name| homes.entry(name).or_default().push(module.join("/")));
        }
        let shared = homes.into_iter().filter(|(_, homes)| homes.len() > 1);
        shared.map(|(name, homes)| format!("{name}: {}", homes.join(", "))).collect()
    }
}

fn crate_itself() -> Crate {
    let files = source::files();
    assert!(files.len() > 20, "read {} files: too few to believe", files.len());
    Crate::of(files.iter().filter(|(path, _)| !source::is_test(path)).map(|(path, text)| (&**path, &**text)))
}

#[test]
fn rooms_use_those_before_them() {
    let all = crate_itself();
    for (top, rooms) in ROOMS {
        for room in rooms {
            let exists = all.0.contains_key(&vec![top.to_owned(), (*room).to_owned()]);
            assert!(exists, "there is no {top}/{room}");
        }
        let found = all.misplaced(top, rooms);
        assert!(found.is_empty(), "\n{}\n", found.join("\n"));
    }
}

#[test]
fn there_are_no_dependency_cycles() {
    let found = crate_itself().cycles();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_name_of_a_type_means_one_thing() {
    let found = crate_itself().shared_names();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn each_kind_of_disorder_is_seen() {
    let rooms = |files: &[(&'static str, &'static str)]| {
        Crate::of(files.iter().copied()).misplaced("sync", &["low", "high"]).len()
    };
    let low = |text| {
        [("sync/mod.rs", "pub use high::top::T;"), ("sync/low/a.rs", text), ("sync/high/top.rs", "pub struct T;")]
    };
    assert_eq!(rooms(&low("use crate::sync::high::top::T;")), 1);
    assert_eq!(rooms(&low("use super::super::high::{top::{self, T}};")), 1);
    assert_eq!(rooms(&low("fn f() { crate::sync::T::new() }")), 1, "also through what another one gives out");
    assert_eq!(rooms(&low("fn f() { g(vec![super::super::high::top::T]) }")), 1);
    assert_eq!(rooms(&low("#[cfg(test)] mod tests { use crate::sync::high::top::T; }")), 0);
    assert_eq!(rooms(&[("sync/low/a.rs", ""), ("sync/third.rs", "")]), 1);

    let cycles = |files: &[(&'static str, &'static str)]| Crate::of(files.iter().copied()).cycles().len();
    assert_eq!(
        cycles(&[("a/b.rs", "use super::c::C;"), ("a/c.rs", "use crate::a::b::B;"), ("a/d.rs", "use super::c::C;")]),
        2
    );
    assert_eq!(cycles(&[("a/mod.rs", "mod b; fn f() { b::g() }"), ("a/b.rs", "use super::f;")]), 2);
    assert_eq!(
        cycles(&[("a/mod.rs", "mod b; mod c; pub use b::B;"), ("a/b.rs", "struct B;"), ("a/c.rs", "use super::B;")]),
        0
    );
    assert_eq!(cycles(&[("a/b.rs", "use super::c::C;"), ("a/c.rs", "// crate::a::b::B\n")]), 0);

    let shared = |files: &[(&'static str, &'static str)]| Crate::of(files.iter().copied()).shared_names().len();
    assert_eq!(shared(&[("a.rs", "struct Held(u8);"), ("b.rs", "pub(super) enum Held {}")]), 1);
    assert_eq!(shared(&[("a.rs", "struct Held(u8);"), ("b.rs", "extern \"C\" { pub type Held; }")]), 1);
    assert_eq!(shared(&[("a.rs", "struct Held(u8);"), ("b.rs", "extern \"C\" fn f(held: Held) {}")]), 0);
    assert_eq!(
        shared(&[
            ("a.rs", "struct A; impl X for A { type Output = u8; }"),
            ("b.rs", "impl X for B { type Output = u8; }")
        ]),
        0
    );
}
