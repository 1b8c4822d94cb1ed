//! The list of traps in docs/sync.md names the tests that prove its answers: they must exist.

use std::{fs, path::Path};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|_| panic!("docs/sync.md names tests of {}", path.display()))
}

/// Whether there is such a test: `e2e/sync-pull` and its title, `native/sync_pull` or `src/sync/types` and its function.
fn exists(place: &str, name: &str) -> bool {
    match place.split_once('/') {
        Some(("e2e", file)) => read(&format!("tests/e2e/{file}.test.mjs")).contains(&format!("test('{name}'")),
        Some(("native", file)) => {
            let source = read(&format!("tests/native/{file}.rs"));
            let listed = |list: &str| list.split_whitespace().any(|word| word == name);
            // Recorded exchanges are tests by the name of their file; a property is a test in its macro.
            let recorded = source.split("exchanges! {").nth(1).and_then(|rest| rest.split('}').next());
            recorded.is_some_and(listed) || source.contains(&format!("fn {name}("))
        }
        Some(("src", file)) => read(&format!("src/{file}.rs")).contains(&format!("fn {name}(")),
        _ => panic!("docs/sync.md: {place} is no place of tests"),
    }
}

#[test]
fn each_trap_of_sync_names_a_test_that_exists_or_a_reason() {
    let page = read("docs/sync.md");
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()).collect();
    assert_eq!(rows.len(), 36);
    for (at, row) in rows.iter().enumerate() {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells[0], (at + 1).to_string());
        let proofs: Vec<&str> = cells.get(3).unwrap_or(&"").split("; `").filter(|proof| !proof.is_empty()).collect();
        assert!(!proofs.is_empty() || cells[2].starts_with("no test: "), "trap {} has neither test nor reason", at + 1);
        for proof in proofs {
            let (place, rest) = proof.trim_start_matches('`').split_once('`').expect("a place in backticks");
            let name = rest.trim().trim_matches('*');
            assert!(exists(place, name), "trap {}: there is no test {name:?} in {place}", at + 1);
        }
    }
}
