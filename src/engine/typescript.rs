//! Generates the TypeScript types of serialized values in `pkg-js/src/base/generated-types.ts`. A test compares that file with
//! the Rust types.

use std::{collections::BTreeMap, fs, path::Path};

use ts_rs::{Config, TS, TypeVisitor};

use super::{
    folders::StoredDatabase,
    options::{DurabilityMode, Mode, StorageKind},
    storage::snapshots::history::SnapshotHistory,
};
use crate::{
    engine::event::Event,
    error::{Details, Error, TidelockErrorJson},
    health::{AlertCode, Health},
    maintain, migrate, schema,
    snapshot::{SnapshotInfo, Verification},
    sqlite::PlanRow,
    store,
    sync::{
        outbox::change::Change,
        report::{Cells, Conflict, ConflictEntry, PullProgress, PullReport, PushReport},
        schema::local_schema::LocalSchema,
        status::TableStatus,
    },
    time::Timestamp,
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pkg-js/src/base/generated-types.ts");

const HEAD: &str = "\
// The types of results and events of the wasm module, generated from the serialized Rust types. `cargo test --lib
// typescript` compares them. After a change of the Rust types: UPDATE_TYPES=1 cargo test --lib typescript

import type { SqlResultValue } from './values.js'
";

/// The longest line, in columns, that the package's formatter doesn't break.
const WIDTH: usize = 120;

#[test]
fn the_types_of_the_package_are_those_of_the_crate() {
    let expected = declarations();
    if std::env::var_os("UPDATE_TYPES").is_some() {
        fs::write(FILE, &expected).unwrap();
    }
    let found = fs::read_to_string(Path::new(FILE)).unwrap();
    let differs = expected.lines().zip(found.lines()).position(|(expected, found)| expected != found);
    assert!(
        expected == found,
        "pkg-js/src/base/generated-types.ts isn't what the Rust types give, from line {} on: UPDATE_TYPES=1 cargo test --lib typescript",
        differs.unwrap_or_default() + 1,
    );
}

/// Returns the content of the file.
fn declarations() -> String {
    let mut declarations = Declarations { config: Config::new().with_large_int("number"), texts: BTreeMap::new() };
    declarations.visit::<Event>();
    declarations.visit::<Health>();
    declarations.visit::<(PullReport, PushReport, PullProgress, TableStatus)>();
    declarations.visit::<(Change, ConflictEntry, Conflict, LocalSchema)>();
    declarations
        .visit::<(SnapshotInfo, Verification, maintain::MaintenanceReport, store::RecoveryReport, StoredDatabase)>();
    declarations.visit::<SnapshotHistory>();
    declarations.visit::<(migrate::MigrationReport, migrate::MigrationStatus, migrate::LintFinding)>();
    declarations.visit::<(schema::Drift, schema::GeneratedMigration, schema::script::SchemaScript)>();
    declarations.visit::<(PlanRow, TidelockErrorJson<'static>)>();
    // Fields of the health report name these types by attributes, so the visit doesn't reach them.
    declarations.visit::<(AlertCode, Mode, StorageKind, DurabilityMode)>();
    declarations.texts.into_values().fold(HEAD.to_owned(), |file, text| file + "\n" + &text)
}

/// The declarations of visited types and their dependencies, by name.
struct Declarations {
    config: Config,
    texts: BTreeMap<String, String>,
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        // A type without an output path is TypeScript's own, or composed of other types.
        if T::output_path().is_none() {
            T::visit_generics(self);
            return;
        }
        let name = T::ident(&self.config);
        let docs = T::docs().map(|docs| doc(&docs)).unwrap_or_default();
        let text = format!("{docs}{}\n", declaration(&name, &T::inline(&self.config)));
        match self.texts.get(&name) {
            Some(known) => assert_eq!(*known, text, "two types are named {name}"),
            None => {
                self.texts.insert(name, text);
                T::visit_dependencies(self);
            }
        }
    }
}

/// Returns the declaration of an exported type. `body` is its definition by ts-rs.
fn declaration(name: &str, body: &str) -> String {
    let members: Vec<_> = split(body, '|').into_iter().map(type_of).collect();
    if let [member] = &members[..] {
        return match member.strip_prefix('{') {
            Some(fields) => format!("export interface {name} {{{fields}"),
            None => format!("export type {name} = {member}"),
        };
    }
    let line = format!("export type {name} = {}", members.join(" | "));
    if line.len() <= WIDTH && !line.contains('\n') {
        return line;
    }
    let members = members.iter().map(|member| format!("\n  | {}", member.replace('\n', "\n    ")));
    format!("export type {name} ={}", members.collect::<String>())
}

/// Returns a type in the style of the package: single quotes, readonly.
fn type_of(text: &str) -> String {
    let members = split(text, '|');
    if members.len() > 1 {
        return members.into_iter().map(type_of).collect::<Vec<_>>().join(" | ");
    }
    if let Some(fields) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        let fields: Vec<_> = split(fields, ',').into_iter().map(field).collect();
        if !fields.iter().any(|field| field.starts_with("/**")) {
            return format!("{{ {} }}", fields.join("; "));
        }
        let lines = fields.iter().map(|field| format!("  {}\n", field.replace('\n', "\n  ")));
        return format!("{{\n{}}}", lines.collect::<String>());
    }
    match text.strip_prefix("Array<").and_then(|text| text.strip_suffix('>')) {
        Some(element) => format!("readonly {}[]", type_of(element)),
        None => text.replace('"', "'"),
    }
}

/// Returns a field with its comment.
fn field(text: &str) -> String {
    let (docs, field) = text.find("*/").map_or(("", text), |end| text.split_at(end + 2));
    let (name, value) = field.trim().split_once(": ").expect("a name and a type");
    format!("{}readonly {}: {}", doc(docs), name.trim_matches('"'), type_of(value))
}

/// Returns a comment of ts-rs, on one line if it fits.
fn doc(comment: &str) -> String {
    let lines: Vec<_> = comment
        .lines()
        .map(|line| line.trim().trim_start_matches("/**").trim_start_matches("*/").trim_start_matches('*').trim())
        .filter(|line| !line.is_empty())
        .map(|line| line.replace("`None`", "null"))
        .collect();
    match &lines[..] {
        [] => String::new(),
        [line] => format!("/** {line} */\n"),
        lines => format!("/**\n * {}\n */\n", lines.join("\n * ")),
    }
}

/// Splits a list at separators outside of brackets and comments.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut from, mut depth, mut in_comment) = (Vec::new(), 0, 0, false);
    for (at, char) in text.char_indices() {
        match char {
            '/' if text[at..].starts_with("/**") => in_comment = true,
            '/' if text[..at].ends_with('*') => in_comment = false,
            _ if in_comment => {}
            '{' | '<' => depth += 1,
            '}' | '>' => depth -= 1,
            _ if char == separator && depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Maps Rust types to existing TypeScript types.
macro_rules! is {
    ($($rust:ty => $text:literal,)*) => {$(
        impl TS for $rust {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;

            fn name(_: &Config) -> String {
                $text.to_owned()
            }

            fn inline(config: &Config) -> String {
                Self::name(config)
            }
        }
    )*};
}

is! {
    Timestamp => "string",
    Error => "TidelockErrorJson",
    Details => "Readonly<Record<string, unknown>>",
    Cells => "Readonly<Record<string, SqlResultValue>>",
}
