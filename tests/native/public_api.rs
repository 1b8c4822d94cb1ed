//! The public items of the crate, as a file: a change of them is seen. Read from the source as tokens, with what
//! `src/lib.rs` re-exports as the beginning.
//!
//! `UPDATE_GOLDEN=1 cargo test --test native -- public_api` writes the file.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

use crate::source::{self, module_of, without_tests};

/// What `src/lib.rs` re-exports: the path of its definition, and the name that users know.
struct Exported {
    path: Vec<String>,
    name: String,
}

fn exported() -> Vec<Exported> {
    let tokens = source::tokens(source::files()["lib.rs"].parse().unwrap());
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_public = matches!(&tokens[at.saturating_sub(1)], TokenTree::Ident(word) if word == "pub");
        if matches!(token, TokenTree::Ident(word) if word == "use") && is_public {
            let end = at + tokens[at..].iter().position(|token| is(token, ';')).unwrap();
            leaves(&[], &tokens[at + 1..end], &mut found);
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// Adds the leaves of a `use` tree.
fn leaves(before: &[String], tokens: &[TokenTree], found: &mut Vec<Exported>) {
    let mut path = before.to_vec();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if word == "as" => {
                found.push(Exported { path, name: tokens[at + 1].to_string() });
                return;
            }
            TokenTree::Ident(word) if word == "crate" => {}
            TokenTree::Ident(word) => path.push(word.to_string()),
            TokenTree::Group(group) => {
                let inside = source::tokens(group.stream());
                let branches = inside.split(|token| is(token, ',')).filter(|branch| !branch.is_empty());
                branches.for_each(|branch| leaves(&path, branch, found));
                return;
            }
            _ => {}
        }
    }
    let name = path.last().unwrap().clone();
    found.push(Exported { path, name });
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn word(token: Option<&TokenTree>) -> String {
    match token {
        Some(TokenTree::Ident(word)) => word.to_string(),
        _ => String::new(),
    }
}

/// An item of a file: its tokens, without attributes and without a body.
struct Item {
    attributes: Vec<String>,
    head: Vec<TokenTree>,
    body: Option<TokenStream>,
}

/// Splits a module, a trait or an impl into its items.
fn items(stream: TokenStream) -> Vec<Item> {
    let mut found = Vec::new();
    let (mut attributes, mut head) = (Vec::new(), Vec::new());
    let mut tokens = without_tests(source::tokens(stream)).into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(sign) if sign.as_char() == '#' && head.is_empty() => {
                if tokens.peek().is_some_and(|token| is(token, '!')) {
                    tokens.next();
                }
                attributes.push(tokens.next().map(|token| token.to_string()).unwrap_or_default());
            }
            TokenTree::Punct(sign) if sign.as_char() == ';' => {
                let item =
                    Item { attributes: std::mem::take(&mut attributes), head: std::mem::take(&mut head), body: None };
                found.push(item);
            }
            // The braces of a const generic or of a value are no body, but then a semicolon follows.
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::Brace && !tokens.peek().is_some_and(|token| is(token, ';')) =>
            {
                let body = Some(group.stream());
                found.push(Item { attributes: std::mem::take(&mut attributes), head: std::mem::take(&mut head), body });
            }
            token => head.push(token),
        }
    }
    found
}

impl Item {
    /// Returns whether its attributes hide it from users.
    fn is_hidden(&self) -> bool {
        self.attributes.iter().any(|text| text.replace(' ', "").contains("doc(hidden)"))
    }

    /// Returns its visibility's place in the head: the first token after `pub`; `None` without, or with `pub(crate)`.
    fn is_public(&self) -> bool {
        word(self.head.first()) == "pub" && !matches!(self.head.get(1), Some(TokenTree::Group(_)))
    }

    /// Returns the kind and the name of a definition.
    fn definition(&self) -> Option<(String, String)> {
        let kinds = ["struct", "enum", "trait", "fn", "type", "const"];
        let at = self.head.iter().position(|token| kinds.contains(&word(Some(token)).as_str()))?;
        let is_const_fn = word(self.head.get(at)) == "const" && word(self.head.get(at + 1)) == "fn";
        let at = at + usize::from(is_const_fn);
        Some((word(self.head.get(at)), word(self.head.get(at + 1))))
    }

    /// Returns what an impl implements, and the name of the type: `impl<T> Trait for Type<T> where …`.
    fn implements(&self) -> Option<(Option<String>, String)> {
        if word(self.head.first()) != "impl" {
            return None;
        }
        let end = self.head.iter().position(|token| word(Some(token)) == "where").unwrap_or(self.head.len());
        let rest = after_generics(&self.head[1..end]);
        let of = rest.iter().position(|token| word(Some(token)) == "for");
        let (of_trait, of_type) = match of {
            Some(at) => (Some(text(&rest[..at])), &rest[at + 1..]),
            None => (None, rest),
        };
        let name = of_type.iter().take_while(|token| !is(token, '<')).filter_map(|token| match token {
            TokenTree::Ident(name) => Some(name.to_string()),
            _ => None,
        });
        Some((of_trait, name.last()?))
    }
}

/// Skips generic parameters.
fn after_generics(tokens: &[TokenTree]) -> &[TokenTree] {
    if !tokens.first().is_some_and(|token| is(token, '<')) {
        return tokens;
    }
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        let is_arrow = at > 0 && is(token, '>') && is(&tokens[at - 1], '-');
        depth += i32::from(is(token, '<')) - i32::from(is(token, '>') && !is_arrow);
        if depth == 0 {
            return &tokens[at + 1..];
        }
    }
    tokens
}

/// Writes tokens as Rust is usually written, closely enough to be read.
fn text(tokens: &[TokenTree]) -> String {
    let mut out = String::new();
    let mut glued = true;
    for token in tokens {
        let (shown, glue_left, glue_right) = match token {
            TokenTree::Ident(word) => (word.to_string(), false, false),
            TokenTree::Literal(literal) => (literal.to_string(), false, false),
            TokenTree::Group(group) => {
                let inside = text(&source::tokens(group.stream()));
                let shown = match group.delimiter() {
                    Delimiter::Parenthesis => format!("({inside})"),
                    Delimiter::Bracket => format!("[{inside}]"),
                    Delimiter::Brace => format!("{{ {inside} }}"),
                    Delimiter::None => inside,
                };
                (shown, group.delimiter() != Delimiter::Brace && !out.ends_with(['>', '=', ',', '+']), false)
            }
            TokenTree::Punct(sign) => {
                let shown = sign.as_char();
                let joint = sign.spacing() == Spacing::Joint;
                let left =
                    matches!(shown, ',' | ':' | ';' | '>' | '<' | '?') || out.ends_with(['-', '=']) && shown == '>';
                (
                    shown.to_string(),
                    left && !(shown == '>' && out.ends_with(' ')),
                    joint || matches!(shown, '&' | '<' | '\'' | '?' | '#'),
                )
            }
        };
        if !glued && !glue_left {
            out.push(' ');
        }
        glued = glue_right || shown == ":" && out.ends_with(':');
        out.push_str(&shown);
    }
    out
}

/// Returns the public fields of a struct or the variants of an enum, a line each.
fn members(kind: &str, body: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    let mut tokens = source::tokens(body).into_iter().peekable();
    let (mut current, mut depth): (Vec<TokenTree>, i32) = (Vec::new(), 0);
    loop {
        let token = tokens.next();
        match token {
            Some(TokenTree::Punct(sign)) if sign.as_char() == '#' && current.is_empty() => _ = tokens.next(),
            Some(token) if !(is(&token, ',') && depth == 0) => {
                depth += i32::from(is(&token, '<')) - i32::from(is(&token, '>'));
                // The fields of a variant have attributes, too.
                let fields = match &token {
                    TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                        Some(members("enum", group.stream()).join(", "))
                    }
                    _ => None,
                };
                match fields {
                    Some(fields) => current.extend(source::tokens(format!("{{ {fields} }}").parse().unwrap())),
                    None => current.push(token),
                }
            }
            end => {
                let is_public = word(current.first()) == "pub" && !matches!(current.get(1), Some(TokenTree::Group(_)));
                if !current.is_empty() && (kind == "enum" || is_public) {
                    found.push(text(&current));
                }
                current.clear();
                if end.is_none() {
                    return found;
                }
            }
        }
    }
}

/// Returns the lines about the exported items.
fn public_api() -> String {
    let files = source::files();
    let parsed: Vec<_> = files
        .iter()
        .filter(|(path, _)| !source::is_test(path))
        .map(|(path, text)| (module_of(path), items(text.parse().unwrap())))
        .collect();
    let mut out = String::new();
    for Exported { path, name } in exported() {
        let (own_name, within) = path.split_last().unwrap();
        let mut lines = BTreeSet::new();
        // Where the targets differ, there is one for each.
        let mut heads = BTreeSet::new();
        for item in parsed.iter().filter(|(module, _)| module.starts_with(within)).flat_map(|(_, items)| items) {
            let defines = item.definition().filter(|(_, defined)| defined == own_name && item.is_public());
            if let Some((kind, _)) = defines.filter(|_| item.implements().is_none()) {
                let open = item.attributes.iter().any(|text| text.contains("non_exhaustive"));
                let attribute = if open { "#[non_exhaustive] " } else { "" };
                heads.insert(format!("{attribute}{}", shown(&item.head, own_name, &name)));
                let derived = item.attributes.iter().filter(|text| text.starts_with("[derive"));
                lines.extend(derived.map(|text| format!("  #{}", text.replace(" (", "(").replace(" ,", ","))));
                let body = item.body.clone().filter(|_| kind == "struct" || kind == "enum");
                lines.extend(body.into_iter().flat_map(|body| members(&kind, body)).map(|line| format!("  {line}")));
                let of_trait = item.body.clone().filter(|_| kind == "trait").map(items).unwrap_or_default();
                let seen = of_trait.iter().filter(|item| !item.is_hidden());
                lines.extend(seen.map(|item| format!("  {}", text(&item.head))));
            }
        }
        // Their impls may be anywhere in the same module.
        let top = &within[..1];
        for (of_trait, item) in
            parsed.iter().filter(|(module, _)| module.starts_with(top)).flat_map(|(_, items)| items).filter_map(
                |item| item.implements().filter(|(_, of)| of == own_name).map(|(of_trait, _)| (of_trait, item)),
            )
        {
            if of_trait.is_some() {
                lines.insert(format!("  {}", shown(&item.head, own_name, &name)));
                continue;
            }
            let methods = item.body.clone().map(items).unwrap_or_default();
            let seen = methods.iter().filter(|method| method.is_public() && !method.is_hidden());
            lines.extend(seen.map(|method| format!("  {}", text(&method.head))));
        }
        if heads.is_empty() {
            heads.insert(macro_head(&name).unwrap_or_else(|| panic!("{path:?} is not found")));
        }
        heads.iter().for_each(|head| writeln!(out, "{head}").unwrap());
        lines.iter().for_each(|line| writeln!(out, "{line}").unwrap());
        out.push('\n');
    }
    for (path, text) in &files {
        let exported = text.split("#[macro_export]\nmacro_rules! ").skip(1);
        exported.for_each(|rest| writeln!(out, "macro {}! ({path})", rest.split([' ', '{']).next().unwrap()).unwrap());
    }
    out
}

/// Returns the head of a definition under the name that users know.
fn shown(head: &[TokenTree], own_name: &str, name: &str) -> String {
    let is_private_tuple = |token: &TokenTree| {
        matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
            && word(head.get(1)) == "struct"
            && !token.to_string().starts_with("(pub ")
    };
    let head: Vec<_> = head.iter().filter(|token| !is_private_tuple(token)).cloned().collect();
    text(&head).replace(&format!(" {own_name}"), &format!(" {name}"))
}

/// The macro of another crate, and what a macro of this crate defines: its name is all that is known.
fn macro_head(name: &str) -> Option<String> {
    match name {
        "migrations" => Some("macro migrations! (crates/macros)".to_owned()),
        "ErrorCode" => Some(format!("pub enum ErrorCode: {} codes", tidelock::ErrorCode::ALL.len())),
        _ => None,
    }
}

#[test]
fn the_public_api_is_that_of_the_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native/public-api.txt");
    let present = public_api();
    assert!(present.lines().count() > 300, "too few lines to believe:\n{present}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &present).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    let (known, present): (BTreeSet<_>, BTreeSet<_>) = (known.lines().collect(), present.lines().collect());
    let changes: Vec<_> = known
        .difference(&present)
        .map(|line| format!("- {line}"))
        .chain(present.difference(&known).map(|line| format!("+ {line}")))
        .collect();
    assert!(
        changes.is_empty(),
        "the public API has changed; UPDATE_GOLDEN=1 writes tests/native/public-api.txt:\n{}\n",
        changes.join("\n")
    );
}
