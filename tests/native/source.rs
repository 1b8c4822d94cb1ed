//! Reads the crate's source as tokens, without comments and string literals, for tests of its structure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};

/// A module path from the crate's root: `sync`, `pull`, `window`.
pub type Module = Vec<String>;

/// Returns every file of `src/` by its relative path.
pub fn files() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let relative = |file: &Path| file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
    rust_files(&root).into_iter().map(|file| (relative(&file), fs::read_to_string(&file).unwrap())).collect()
}

/// Returns whether a file of `src/` has only tests.
pub fn is_test(path: &str) -> bool {
    path.split(['/', '.']).any(|part| part == "tests")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Returns the module of a file: `sync/pull/window.rs` → `sync`, `pull`, `window`; `sync/mod.rs` → `sync`; `lib.rs` →
/// an empty path.
pub fn module_of(path: &str) -> Module {
    let mut names: Vec<_> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib")) {
        names.pop();
    }
    names
}

pub fn tokens(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().collect()
}

/// Returns the tokens of a source without its test modules.
pub fn without_tests(tokens: Vec<TokenTree>) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let of_tests = matches!(&token, TokenTree::Punct(sign) if sign.as_char() == '#')
            && matches!(rest.peek(), Some(TokenTree::Group(group)) if group.to_string().replace(' ', "") == "[cfg(test)]");
        if !of_tests {
            kept.push(token);
            continue;
        }
        // Skips the item after the attribute, up to its semicolon or braces.
        for token in rest.by_ref().skip(1) {
            match &token {
                TokenTree::Punct(sign) if sign.as_char() == ';' => break,
                TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace => break,
                _ => {}
            }
        }
    }
    kept
}

/// The names and paths in a file, including those in macros.
#[derive(Default)]
pub struct Names {
    /// Every identifier.
    pub all: BTreeSet<String>,
    /// The paths, from the crate's root. A path that begins with another crate or a type is resolved in the file's own
    /// module.
    pub paths: Vec<Vec<String>>,
    /// The re-exports (`pub use`): the name, or `*` for a whole module, and its path.
    pub given_out: Vec<(String, Vec<String>)>,
}

impl Names {
    pub fn of(module: &[String], tokens: &[TokenTree]) -> Self {
        let mut names = Self::default();
        names.read(module, tokens);
        names
    }

    fn read(&mut self, module: &[String], tokens: &[TokenTree]) {
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(name) if name == "use" && tokens[at..].iter().any(is_semicolon) => {
                    let end = at + tokens[at..].iter().position(is_semicolon).unwrap_or_default();
                    self.note(&tokens[at + 1..end]);
                    let mut leaves = Vec::new();
                    follow(module.to_vec(), &tokens[at + 1..end], &mut leaves);
                    match is_given_out(&tokens[..at]) {
                        true => self.given_out.extend(leaves),
                        false => self.paths.extend(leaves.into_iter().map(|(_, path)| path)),
                    }
                    at = end;
                }
                TokenTree::Ident(name) => {
                    self.all.insert(name.to_string());
                    // In `pub(crate)` no path follows.
                    if is_path_separator(&tokens[at + 1..]) {
                        let mut leaves = Vec::new();
                        at += follow(module.to_vec(), &tokens[at..], &mut leaves);
                        self.paths.extend(leaves.into_iter().map(|(_, path)| path));
                        continue;
                    }
                }
                TokenTree::Group(group) => {
                    let inside = self::tokens(group.stream());
                    match &tokens[..at] {
                        [.., TokenTree::Ident(keyword), TokenTree::Ident(name)] if keyword == "mod" => {
                            self.read(&[module, &[name.to_string()]].concat(), &inside);
                        }
                        _ => self.read(module, &inside),
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
    }

    fn note(&mut self, tokens: &[TokenTree]) {
        for token in tokens {
            match token {
                TokenTree::Ident(name) => _ = self.all.insert(name.to_string()),
                TokenTree::Group(group) => self.note(&self::tokens(group.stream())),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

fn is_semicolon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(sign) if sign.as_char() == ';')
}

/// Returns whether the tokens end with `pub` or `pub(…)`.
fn is_given_out(before: &[TokenTree]) -> bool {
    let before = match before {
        [before @ .., TokenTree::Group(_)] => before,
        before => before,
    };
    matches!(before.last(), Some(TokenTree::Ident(name)) if name == "pub")
}

/// Parses a path or a tree of paths relative to the module `path`. Adds each leaf with its name to `leaves`. Returns
/// the number of tokens.
fn follow(mut path: Vec<String>, tokens: &[TokenTree], leaves: &mut Vec<(String, Vec<String>)>) -> usize {
    let mut at = 0;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) if name == "crate" => path.clear(),
            Some(TokenTree::Ident(name)) if name == "super" => _ = path.pop(),
            Some(TokenTree::Ident(name)) if name == "self" => {}
            Some(TokenTree::Ident(name)) => path.push(name.to_string()),
            Some(TokenTree::Punct(sign)) if sign.as_char() == '*' => {
                leaves.push(("*".to_owned(), path));
                return at + 1;
            }
            Some(TokenTree::Group(group)) => {
                let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ',');
                for branch in self::tokens(group.stream()).split(is_comma).filter(|branch| !branch.is_empty()) {
                    follow(path.clone(), branch, leaves);
                }
                return at + 1;
            }
            // Generic arguments, as in `Vec::<u8>::new`.
            _ => break,
        }
        at += 1;
        if !is_path_separator(&tokens[at..]) {
            break;
        }
        at += 2;
    }
    let name = match &tokens[at..] {
        [TokenTree::Ident(keyword), TokenTree::Ident(name), ..] if keyword == "as" => name.to_string(),
        _ => path.last().cloned().unwrap_or_default(),
    };
    leaves.push((name, path));
    at
}

fn is_path_separator(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(a), TokenTree::Punct(b), ..] if a.as_char() == ':' && b.as_char() == ':')
}
