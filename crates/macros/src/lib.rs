//! The macro `migrations!` of the crate `tidelock`.

use std::{env, fs, io, path::Path};

use proc_macro::{TokenStream, TokenTree};

/// Embeds a folder of migrations: `migrations!("migrations")` has the text of each `.sql` file in that folder and the
/// folders in it. The path is relative to the crate's `Cargo.toml`. It is `tidelock::migrations_from` of these files.
///
/// Cargo compiles the program again when one of these files changes. For a new file it does when a build script has
/// `println!("cargo:rerun-if-changed=migrations")`.
#[proc_macro]
pub fn migrations(input: TokenStream) -> TokenStream {
    match expand(input) {
        Ok(code) => code.parse().expect("tokens of Rust"),
        Err(why) => format!("compile_error!({:?})", format!("migrations!: {why}")).parse().expect("tokens of Rust"),
    }
}

fn expand(input: TokenStream) -> Result<String, String> {
    let tokens: Vec<TokenTree> = input.into_iter().collect();
    let folder = match tokens.as_slice() {
        [TokenTree::Literal(literal)] => text_of(&literal.to_string()),
        _ => None,
    };
    let folder = folder.ok_or(r#"it takes the path of a folder: migrations!("migrations")"#)?;
    let root = env::var("CARGO_MANIFEST_DIR").map_err(|_| "cargo must compile the crate")?;
    let root = Path::new(&root).join(&folder);
    let mut files = Vec::new();
    collect(&root, &folder, &mut files)
        .map_err(|error| format!("the folder {} can't be read: {error}", root.display()))?;
    files.sort();
    let entries: Vec<String> =
        files.iter().map(|(shown, path)| format!("({shown:?}, ::core::include_str!({path:?}))")).collect();
    Ok(format!("::tidelock::migrations_from([{}] as [(&str, &str); {}])", entries.join(", "), entries.len()))
}

/// Returns the content of a plain or raw string literal without escapes.
fn text_of(literal: &str) -> Option<String> {
    let plain = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|text| !text.contains('\\'));
    let raw = || literal.strip_prefix("r\"").and_then(|rest| rest.strip_suffix('"'));
    plain.or_else(raw).map(str::to_owned)
}

/// Adds the `.sql` files of a folder, each as it is shown in errors and as it is read.
fn collect(folder: &Path, shown: &str, files: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let shown = format!("{}/{name}", shown.trim_end_matches('/'));
        if path.is_dir() {
            collect(&path, &shown, files)?;
        } else if name.to_ascii_lowercase().ends_with(".sql") {
            let path = path.to_str().ok_or_else(|| io::Error::other("a path is not UTF-8"))?;
            files.push((shown, path.to_owned()));
        }
    }
    Ok(())
}
