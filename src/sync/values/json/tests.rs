use super::*;

fn read(body: &str, columns: &[&str]) -> Result<Vec<Vec<String>>, JsonError> {
    let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let mut out = Vec::new();
    rows(body, &columns, &mut |row| {
        out.push(row.iter().map(|raw| (*raw).to_owned()).collect());
        Ok::<(), JsonError>(())
    })?;
    Ok(out)
}

#[test]
fn values_stay_as_they_were_sent() {
    let body = r#" [ {"id":9007199254740993, "n":1.2300,"j": {"a": [1, 2]} ,"x":0},
        {"n":null,"j":"q\"","id":-1e5} ] "#;
    let expected = vec![vec!["9007199254740993", "1.2300", r#"{"a": [1, 2]}"#], vec!["-1e5", "null", r#""q\"""#]];
    assert_eq!(read(body, &["id", "n", "j"]).unwrap(), expected);
    assert_eq!(read("[]", &["id"]).unwrap(), Vec::<Vec<String>>::new());
}

#[test]
fn every_cut_body_is_an_error_never_a_shorter_page() {
    let body = r#"[{"id":1,"t":"a\u00e9\"b"},{"id":-2.5e+3,"t":null},{"id":3,"t":[true,{"k":false}]}]"#;
    assert_eq!(read(body, &["id", "t"]).unwrap().len(), 3);
    for end in 0..body.len() {
        assert_eq!(read(&body[..end], &["id", "t"]), Err(JsonError::Truncated), "cut at {end}");
    }
}

#[test]
fn bodies_other_than_rows_are_refused() {
    assert_eq!(read(r#"{"code":"42P01"}"#, &["id"]), Err(JsonError::NotRows));
    assert_eq!(read("[1]", &["id"]), Err(JsonError::NotRows));
    assert_eq!(read(r#"[{"a":1}]"#, &["id"]), Err(JsonError::MissingColumn(0)));
    assert_eq!(read("[{},]", &[]), Err(JsonError::NotRows));
    for (body, at) in [("<html>", 0), (r#"[{"id":01}]"#, 8), ("[] x", 3), ("[{\"id\":\"\n\"}]", 8)] {
        assert_eq!(read(body, &[]), Err(JsonError::Malformed(at)), "{body}");
    }
    let deep = format!("[{{\"a\":{}1{}}}]", "[".repeat(400), "]".repeat(400));
    assert!(matches!(read(&deep, &["a"]), Err(JsonError::Malformed(_))));
}

#[test]
fn strings_are_unescaped() {
    assert_eq!(text(r#""plain é""#).unwrap(), "plain é");
    assert_eq!(text(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#).unwrap(), "\"\\/\u{8}\u{c}\n\r\té😀é");
    assert_eq!(text(r#""\ud83d""#), None);
    assert_eq!(text(r#""\ude00""#), None);
    assert_eq!(text("12"), None);
}

#[test]
fn strings_are_escaped_and_come_back() {
    let original = "a\"b\\c\nd\u{1}é😀\u{0}";
    let array = string_array(["x", original]);
    assert_eq!(parse_string_array(&array).unwrap(), ["x", original]);
}

#[test]
fn whitespace_goes_only_between_tokens() {
    assert_eq!(minify(r#"{"a b": [1,  2.50], "c": "x \" y"}"#), r#"{"a b":[1,2.50],"c":"x \" y"}"#);
}
