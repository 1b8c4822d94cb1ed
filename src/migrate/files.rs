//! Migrations from files, by the rules of several tools: `0001_name.sql`, `0001_name.up.sql` with `.down.sql`,
//! `20250709035454_name/migration.sql` (Prisma, drizzle-kit), `V1__name.sql` (Flyway), and the markers of dbmate and
//! node-pg-migrate. The npm package has the same rules in `api/migrations-from.ts`; `tests/fixtures/migrations/cases.json`
//! has the cases of both.

use super::{
    migration::{MigrationDirection, MigrationSource},
    script_text::{ScriptText, read_script},
    version,
};
use crate::error::{Error, ErrorCode, Result};

const NAMING: &str = "Name it like '0001_name.sql', or leave it out of the files given to migrationsFrom";
const FLYWAY_NAMING: &str = "Flyway's files are V1__name.sql and U1__name.sql: give this one a version, or leave it out \
                             of the files given to migrationsFrom";
const FOLDER_NAMING: &str = "In a folder named like '20250709035454_name' the files are migration.sql and down.sql";
const NUMBERING: &str = "Versions are compared by their runs of digits, as numbers: give one of them a new number";
const DBMATE_MARKERS: &str =
    "Write '-- migrate:up' once, then '-- migrate:down' at most once, each at the start of its line";
const PG_MARKERS: &str = "Write '-- Up Migration' once, then '-- Down Migration' at most once";

/// The part of a migration that one file has: `up`, `down` or both.
#[derive(Debug, Default)]
struct FilePart {
    file: String,
    version: String,
    name: String,
    up: Option<String>,
    down: Option<String>,
    outside_transaction: bool,
}

/// The files of a migration: of both directions, or one of each.
#[derive(Default)]
struct MigrationFiles {
    up: Option<usize>,
    down: Option<usize>,
}

/// Makes migrations from files, given as path and text. Files that don't end in `.sql` are ignored. A byte order mark is
/// removed; `--> statement-breakpoint` ends a statement, with or without a semicolon.
///
/// Fails with `migration_invalid` (`details.file`, `details.line`) for a `.sql` file with an unknown kind of name, an
/// empty file, two files of the same version, misplaced or unknown markers, a quote, a comment or a trigger that never
/// ends, and damaged text (NUL, U+FFFD).
pub fn from_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Vec<MigrationSource>> {
    let mut parts: Vec<FilePart> = Vec::new();
    let mut found: Vec<MigrationFiles> = Vec::new();
    for (file, text) in files {
        if !file.get(file.len().saturating_sub(4)..).is_some_and(|end| end.eq_ignore_ascii_case(".sql")) {
            continue;
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(refused(file, "it is empty", "Put a comment into it, or leave the file out", 1));
        }
        let part = part_of(file, text)?;
        let is_same = |files: &MigrationFiles| {
            let any = files.up.or(files.down);
            any.is_some_and(|at| version::same(&parts[at].version, &part.version))
        };
        let at = match found.iter().position(is_same) {
            Some(at) => at,
            None => {
                found.push(MigrationFiles::default());
                found.len() - 1
            }
        };
        let known = &mut found[at];
        for (has, slot) in [(part.up.is_some(), &mut known.up), (part.down.is_some(), &mut known.down)] {
            if !has {
                continue;
            }
            if let Some(other) = slot.replace(parts.len()) {
                let why = format!("it has the same version as {}", parts[other].file);
                return Err(refused(file, &why, NUMBERING, 1));
            }
        }
        parts.push(part);
    }
    let mut migrations: Vec<_> = found.into_iter().map(|files| join(&mut parts, &files)).collect::<Result<_>>()?;
    migrations.sort_by(|one, other| version::compare(&one.version, &other.version));
    Ok(migrations)
}

fn join(parts: &mut [FilePart], files: &MigrationFiles) -> Result<MigrationSource> {
    let down = files.down.map(|at| &mut parts[at]);
    let outside = down.as_ref().is_some_and(|part| part.outside_transaction);
    let (down_file, down) = match down {
        Some(part) => (part.file.clone(), part.down.take()),
        None => Default::default(),
    };
    let Some(up) = files.up.map(|at| &mut parts[at]) else {
        let hint = format!("Add {}", missing_up(&down_file));
        return Err(refused(&down_file, "it is a down script without an up script", &hint, 1));
    };
    Ok(MigrationSource {
        version: std::mem::take(&mut up.version),
        name: std::mem::take(&mut up.name),
        up: up.up.take(),
        down,
        transaction: (outside || up.outside_transaction).then_some(false),
        ..MigrationSource::default()
    })
}

/// Returns the file that would have the `up` to a file with a `down`.
fn missing_up(file: &str) -> String {
    let (folder, base) = file.split_at(file.rfind(['/', '\\']).map_or(0, |at| at + 1));
    let (stem, ending) = base.split_at(base.len() - ".sql".len());
    match stem {
        "down" => format!("{folder}migration{ending}"),
        _ => match (stem.strip_suffix(".down"), stem.strip_prefix('U')) {
            (Some(stem), _) => format!("{folder}{stem}.up{ending}"),
            (None, Some(stem)) => format!("{folder}V{stem}{ending}"),
            (None, None) => file.to_owned(),
        },
    }
}

fn part_of(file: &str, text: &str) -> Result<FilePart> {
    use MigrationDirection::{Down, Up};
    let path = file.replace('\\', "/");
    let mut path = path.rsplit('/');
    let base = path.next().unwrap_or_default();
    let base = &base[..base.len() - ".sql".len()];
    let in_folder = path.next().and_then(versioned);
    let identity = |version: &str, name: &str| FilePart {
        file: file.to_owned(),
        version: version.to_owned(),
        name: name.to_owned(),
        ..FilePart::default()
    };

    if let Some((direction, version, name)) = flyway(base) {
        return by_name(identity(&version.replace('_', "."), name), direction, text);
    }
    let is_folders = matches!(base, "migration" | "up" | "down");
    if let Some((version, name)) = in_folder.filter(|_| is_folders) {
        let identity = identity(version, name.unwrap_or(version));
        return if base == "down" { by_name(identity, Down, text) } else { by_markers(identity, text) };
    }
    let (stem, direction) = match (base.strip_suffix(".up"), base.strip_suffix(".down")) {
        (Some(stem), _) => (stem, Some(Up)),
        (None, Some(stem)) => (stem, Some(Down)),
        (None, None) => (base, None),
    };
    let Some((version, name)) = versioned(stem) else {
        return Err(unknown_name(file, base, is_folders, in_folder.is_some()));
    };
    let identity = identity(version, name.unwrap_or(version));
    match direction {
        Some(direction) => by_name(identity, direction, text),
        None => by_markers(identity, text),
    }
}

fn unknown_name(file: &str, base: &str, is_folders: bool, in_folder: bool) -> Error {
    let of_flyway = || {
        let rest = base.strip_prefix(['V', 'U', 'B'])?;
        Some(rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('_'))
    };
    let (why, hint) = if is_folders {
        ("its folder's name does not begin with a version", FOLDER_NAMING)
    } else if base.starts_with("R__") {
        ("Flyway's repeatable migrations have no version", FLYWAY_NAMING)
    } else if of_flyway() == Some(true) {
        ("its name is not a version, two underscores and a name", FLYWAY_NAMING)
    } else if in_folder {
        ("its name is not one of the files in a migration's folder", FOLDER_NAMING)
    } else if base.starts_with(|c: char| c.is_ascii_digit()) {
        ("its version is not followed by _ and a name", NAMING)
    } else {
        ("its name does not begin with a version", NAMING)
    };
    refused(file, why, hint, 1)
}

/// Splits names such as `0001_name`, `20250709035454_name`, `1.2-name` into version and name.
fn versioned(stem: &str) -> Option<(&str, Option<&str>)> {
    let (version, rest) = stem.split_at(digits(stem, &['.'])?);
    if rest.is_empty() {
        return Some((version, None));
    }
    let name = rest.strip_prefix(['_', '-'])?;
    (!name.trim().is_empty()).then_some((version, Some(name)))
}

/// Splits Flyway's names: `V1__name` for up, `U1__name` for down.
fn flyway(base: &str) -> Option<(MigrationDirection, &str, &str)> {
    let rest = base.strip_prefix(['V', 'U'])?;
    let direction = if base.starts_with('V') { MigrationDirection::Up } else { MigrationDirection::Down };
    let (version, rest) = rest.split_at(digits(rest, &['.', '_'])?);
    let name = rest.strip_prefix("__")?;
    (!name.trim().is_empty()).then_some((direction, version, name))
}

/// Returns the length of the runs of digits that a text begins with, joined by single separators; `None` without any.
fn digits(text: &str, separators: &[char]) -> Option<usize> {
    let run = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut length = run(0);
    if length == 0 {
        return None;
    }
    while text[length..].starts_with(separators) {
        match run(length + 1) {
            0 => break,
            more => length += 1 + more,
        }
    }
    Some(length)
}

/// Reads a file whose name says its direction.
fn by_name(mut part: FilePart, direction: MigrationDirection, text: &str) -> Result<FilePart> {
    let (marks, _) = marks_of(&part.file, text)?;
    if let Some(other) = marks.iter().find(|mark| mark.direction != direction) {
        let why = format!("it has a marker for {}, but its name says {}", other.direction.as_str(), direction.as_str());
        let hint = format!("Put both directions into {}_{}.sql, or each into its own file", part.version, part.name);
        return Err(refused(&part.file, &why, &hint, line_of(text, other.index)));
    }
    let sql = Some(script_of(&part.file, text, 0, text.len())?.sql);
    match direction {
        MigrationDirection::Up => part.up = sql,
        MigrationDirection::Down => part.down = sql,
    }
    Ok(part)
}

/// Splits a file at the markers of dbmate or node-pg-migrate; without markers the whole file is `up`.
fn by_markers(mut part: FilePart, text: &str) -> Result<FilePart> {
    let (marks, hint) = marks_of(&part.file, text)?;
    let bad = |index: usize, why: &str| refused(&part.file, why, hint, line_of(text, index));
    let Some(first) = marks.first() else {
        part.up = Some(script_of(&part.file, text, 0, text.len())?.sql);
        return Ok(part);
    };
    if first.direction == MigrationDirection::Down {
        return Err(bad(first.index, "the marker for up must come first"));
    }
    let extra = marks.iter().enumerate().skip(1);
    let mut extra = extra.filter(|(at, mark)| *at > 1 || mark.direction == MigrationDirection::Up);
    if let Some((_, mark)) = extra.next() {
        return Err(bad(mark.index, "a marker is repeated"));
    }
    if let Some(before) = script_of(&part.file, text, 0, first.index)?.first {
        return Err(bad(before, "there is SQL before the first marker"));
    }
    // The text from the start of the file is kept, so that the lines in SQL errors are those of the file.
    let second = marks.get(1).map(|mark| mark.index);
    let up = script_of(&part.file, text, 0, second.unwrap_or(text.len()))?;
    let down = second.map(|at| script_of(&part.file, text, at, text.len())).transpose()?;
    part.up = Some(up.sql);
    part.down = down.filter(|script| script.first.is_some()).map(|script| script.sql);
    part.outside_transaction = marks.iter().any(|mark| has_word(mark.options, "transaction:false"));
    Ok(part)
}

/// A marker of a direction in a file.
struct DirectionMark<'a> {
    index: usize,
    direction: MigrationDirection,
    /// The rest of its line.
    options: &'a str,
}

/// Returns the markers of a file and a hint at their form. Fails for markers of unsupported tools.
fn marks_of<'a>(file: &str, text: &'a str) -> Result<(Vec<DirectionMark<'a>>, &'static str)> {
    let blanks = |text: &'a str| text.trim_start_matches([' ', '\t']);
    if let Some((index, _)) = lines(text).find(|(_, line)| {
        let tool = line.strip_prefix("--").map(blanks).and_then(|rest| rest.strip_prefix('+'));
        tool.is_some_and(|tool| ["goose", "migrate"].iter().any(|name| after_word(tool, name).is_some()))
    }) {
        let why = "the markers of goose and sql-migrate are not supported";
        return Err(refused(file, why, DBMATE_MARKERS, line_of(text, index)));
    }
    let mut marks = Vec::new();
    for (index, line) in lines(text) {
        let of_dbmate = line.strip_prefix("--").map(blanks).and_then(|rest| rest.strip_prefix("migrate:"));
        let mark = of_dbmate.and_then(|rest| {
            directed(rest, |rest, word| {
                let after = rest.strip_prefix(word)?;
                (!after.starts_with(is_word)).then_some(after)
            })
        });
        if let Some((direction, options)) = mark {
            marks.push(DirectionMark { index, direction, options });
            continue;
        }
        let like = blanks(line).strip_prefix("--").map(blanks);
        let like = like.and_then(|rest| strip_ignoring_case(rest, "migrate:"));
        if like.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic())) {
            let why = format!("unknown marker '{}'", line.trim());
            return Err(refused(file, &why, DBMATE_MARKERS, line_of(text, index)));
        }
    }
    if !marks.is_empty() {
        return Ok((marks, DBMATE_MARKERS));
    }
    for (index, line) in lines(text) {
        let Some(rest) = blanks(line).strip_prefix("--") else { continue };
        let rest = rest.trim_start_matches(['-', ' ', '\t']);
        let mark = directed(rest, |rest, word| {
            let after = strip_ignoring_case(rest, word)?;
            let spaced = blanks(after);
            (spaced.len() < after.len()).then(|| after_word(spaced, "migration")).flatten()
        });
        if let Some((direction, options)) = mark {
            marks.push(DirectionMark { index, direction, options });
        }
    }
    Ok((marks, PG_MARKERS))
}

/// Returns the direction whose word `after` finds at the beginning of a text, and the rest of the text.
fn directed<'a>(
    text: &'a str,
    after: impl Fn(&'a str, &'static str) -> Option<&'a str>,
) -> Option<(MigrationDirection, &'a str)> {
    let up = after(text, "up").map(|rest| (MigrationDirection::Up, rest));
    up.or_else(|| after(text, "down").map(|rest| (MigrationDirection::Down, rest)))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn strip_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Returns the rest of a text after a whole word at its beginning, in any case.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    strip_ignoring_case(text, word).filter(|rest| !rest.starts_with(is_word))
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word))
}

/// Returns the lines of a text with their positions.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split(['\n', '\r', '\u{2028}', '\u{2029}']).map(move |line| {
        let index = at;
        at += line.len();
        at += text[at..].chars().next().map_or(0, char::len_utf8);
        (index, line)
    })
}

/// Reads a part of a file as a script. Fails with `migration_invalid` for a flaw in it.
fn script_of(file: &str, text: &str, from: usize, to: usize) -> Result<ScriptText> {
    let script = read_script(&text[from..to]);
    match script.flaw {
        None => Ok(script),
        Some(flaw) => Err(refused(file, flaw.why, flaw.hint, line_of(text, from + flaw.index))),
    }
}

/// Returns the line of a position in a text, from 1.
fn line_of(text: &str, index: usize) -> usize {
    let before = &text[..index];
    1 + before.matches(['\n', '\r']).count() - before.matches("\r\n").count()
}

fn refused(file: &str, why: &str, hint: &str, line: usize) -> Error {
    let place = if line > 1 { format!(" (line {line})") } else { String::new() };
    Error::new(ErrorCode::MigrationInvalid, format!("The migration file {file} can't be used{place}: {why}"))
        .hint(hint)
        .detail("file", file)
        .detail("line", line)
}
