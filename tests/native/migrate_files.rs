//! Migrations from files: the cases that the npm package has, too, and damaged variants of them.

use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;
use tidelock::{ErrorCode, migrate::files::from_files};

#[derive(Deserialize)]
struct Case {
    files: Vec<(String, String)>,
    migrations: Option<Vec<Expected>>,
    refused: Option<Refused>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Expected {
    version: String,
    name: String,
    up: String,
    down: Option<String>,
    transaction: Option<bool>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Refused {
    code: String,
    message: String,
    hint: String,
    line: i64,
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/migrations/cases.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn files_give_the_same_migrations_as_in_the_npm_package() {
    let cases = cases();
    assert!(cases.len() > 80);
    for case in cases {
        let files = || case.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        let shown: Vec<_> = files().collect();
        match from_files(files()) {
            Ok(migrations) => {
                let migrations: Vec<_> = migrations
                    .into_iter()
                    .map(|each| Expected {
                        version: each.version,
                        name: each.name,
                        up: each.up.unwrap(),
                        down: each.down,
                        transaction: each.transaction,
                    })
                    .collect();
                assert_eq!(Some(migrations), case.migrations, "{shown:?}");
            }
            Err(error) => {
                let refused = Refused {
                    code: error.code.to_string(),
                    message: error.message.clone(),
                    hint: error.hint.clone().unwrap(),
                    line: serde_json::to_value(&error.details).unwrap()["line"].as_i64().unwrap(),
                };
                assert_eq!(Some(refused), case.refused, "{shown:?}");
            }
        }
    }
}

proptest! {
    /// Whatever is cut off or put in, the files are migrations or a typed error.
    #[test]
    fn damaged_files_are_accepted_or_refused(at: prop::sample::Index, cut: prop::sample::Index, insert in "[-'\"`\\[/*;\\n\\r {}éEND]{0,3}") {
        for case in cases() {
            let damaged = case.files.iter().map(|(path, text)| {
                let place = |index: &prop::sample::Index, text: &str| {
                    (0..=index.index(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
                };
                let (kept, rest) = text.split_at(place(&at, text));
                (path.clone(), format!("{kept}{insert}{}", &rest[place(&cut, rest)..]))
            });
            let damaged: Vec<_> = damaged.collect();
            let result = from_files(damaged.iter().map(|(path, text)| (path.as_str(), text.as_str())));
            if let Err(error) = result {
                prop_assert_eq!(error.code, ErrorCode::MigrationInvalid);
            }
        }
    }
}
