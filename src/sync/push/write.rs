//! The requests that change the remote, and the one that shows whether a column exists.
//!
//! Each request filters by keys, since an UPDATE or DELETE without a filter would change the whole table.

use crate::{
    ports::{HttpRequest, Method},
    sync::{
        jobs::job::{Job, RowGuard},
        postgrest::{
            keyed::{list, push_keys},
            query::{name, percent, push_list, push_pair},
            request::Requester,
        },
        schema::plan::Plan,
        values::{json, outgoing::push_json},
    },
    value::Value,
};

/// Inserts rows, each with its values and the columns to send; the server fills the others. A row whose key exists
/// stays unchanged, except with `write_only`: ignoring duplicates would need the right to read the table.
pub fn insert(requester: &Requester, plan: &Plan, rows: &[(&[Value], Vec<usize>)], write_only: bool) -> HttpRequest {
    let prefer = if write_only { "return=minimal" } else { "resolution=ignore-duplicates,return=representation" };
    // Only if needed: with `missing=default` PostgREST converts the body to jsonb, which changes the text of JSON
    // values.
    let missing = if rows.windows(2).any(|pair| pair[0].1 != pair[1].1) { "missing=default," } else { "" };
    post(requester, plan, rows, write_only, &format!("{missing}{prefer}"))
}

/// Updates columns of rows, all to the same values: those of `row`.
pub fn update(
    requester: &Requester,
    plan: &Plan,
    keys: &[&[Value]],
    row: &[Value],
    columns: &[usize],
    guard: &RowGuard,
    write_only: bool,
) -> HttpRequest {
    let url = target(requester, plan, keys, guard, (!write_only).then_some(&plan.selection.columns[..]));
    let mut body = String::new();
    push_object(&mut body, plan, row, columns);
    requester.request(Method::Patch, url, answer_of_rows(write_only), Some(body))
}

/// Updates columns of rows, each to its own values. A row that was deleted meanwhile would be inserted.
pub fn upsert(requester: &Requester, plan: &Plan, rows: &[&[Value]], columns: &[usize]) -> HttpRequest {
    let sent: Vec<usize> = (0..plan.columns.len()).filter(|at| plan.key.contains(at) || columns.contains(at)).collect();
    let rows: Vec<(&[Value], Vec<usize>)> = rows.iter().map(|row| (*row, sent.clone())).collect();
    post(requester, plan, &rows, false, "resolution=merge-duplicates,return=representation")
}

/// Posts rows, each with its values and the columns to send.
fn post(
    requester: &Requester,
    plan: &Plan,
    rows: &[(&[Value], Vec<usize>)],
    write_only: bool,
    prefer: &str,
) -> HttpRequest {
    let all = (0..plan.columns.len()).filter(|at| rows.iter().any(|(_, columns)| columns.contains(at)));
    let mut url = format!("{}/{}?columns=", requester.root(), percent(&plan.selection.table));
    push_list(&mut url, all.map(|at| name(&plan.columns[at].name)));
    if !write_only {
        url.push_str("&on_conflict=");
        push_list(&mut url, plan.selection.key.iter().map(|column| name(column)));
        push_select(&mut url, &plan.selection.columns);
    }
    let mut body = String::from("[");
    for (index, (row, columns)) in rows.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        push_object(&mut body, plan, row, columns);
    }
    body.push(']');
    requester.request(Method::Post, url, prefer, Some(body))
}

/// Updates rows by the helpers' function, all of them or none, if each cursor still equals that of the base. `deferred`:
/// whether deferrable constraints are checked after the last row.
pub fn call_function(requester: &Requester, plan: &Plan, jobs: &[&Job], deferred: bool) -> HttpRequest {
    let mut table = String::new();
    json::push_string(&mut table, &plan.selection.table);
    let mut body = String::from(r#"{"push":{"changes":["#);
    for (index, job) in jobs.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(&format!(r#"{{"op":"update","table":{table},"key":"#));
        push_object(&mut body, plan, &job.row, &plan.key);
        body.push_str(r#","row":"#);
        push_object(&mut body, plan, &job.row, &job.columns);
        let cursor = plan.stored_cursor().filter(|_| job.cursor.is_some());
        if let (Some(cursor), Some(base)) = (cursor, &job.base) {
            let base: Vec<Value> = base.iter().map(|value| value.clone().unwrap_or_default()).collect();
            body.push_str(r#","base":"#);
            push_object(&mut body, plan, &base, &[cursor]);
        }
        body.push('}');
    }
    body.push_str(if deferred { r#"],"deferred":true}}"# } else { "]}}" });
    let url = format!("{}/rpc/tidelock_push", requester.root());
    requester.request(Method::Post, url, "", Some(body))
}

/// Deletes rows. The answer has their keys.
pub fn delete(
    requester: &Requester,
    plan: &Plan,
    keys: &[&[Value]],
    guard: &RowGuard,
    write_only: bool,
) -> HttpRequest {
    let url = target(requester, plan, keys, guard, (!write_only).then_some(&plan.selection.key[..]));
    requester.request(Method::Delete, url, answer_of_rows(write_only), None)
}

/// Marks rows as deleted in the soft-delete column. The answer has their keys. `mark` is JSON.
pub fn soft_delete(
    requester: &Requester,
    plan: &Plan,
    keys: &[&[Value]],
    guard: &RowGuard,
    mark: &str,
    write_only: bool,
) -> HttpRequest {
    let url = target(requester, plan, keys, guard, (!write_only).then_some(&plan.selection.key[..]));
    let mut body = String::from("{");
    json::push_string(&mut body, plan.options.soft_delete().unwrap_or_default());
    body.push(':');
    body.push_str(mark);
    body.push('}');
    requester.request(Method::Patch, url, answer_of_rows(write_only), Some(body))
}

/// Returns the preference for the answer of an update or deletion: the rows, or only their number, which needs no right to
/// read their columns.
fn answer_of_rows(write_only: bool) -> &'static str {
    if write_only { "return=minimal,count=exact" } else { "return=representation" }
}

/// Makes a row that is marked as deleted the new one: updates its columns, and removes the mark. `none` is the value of an unmarked row,
/// as JSON. `nulls`: whether the columns that are NULL in the new row are sent, too, so that they don't keep the old row's values.
pub fn revive(requester: &Requester, plan: &Plan, job: &Job, none: &str, nulls: bool) -> HttpRequest {
    let mark = plan.options.soft_delete().unwrap_or_default();
    let mut url = target(requester, plan, &[&job.key], &RowGuard::None, Some(&plan.selection.columns));
    // If another client has removed the mark meanwhile, the row is a different one.
    push_pair(&mut url, &name(mark), "not.is.null");
    let others = |at: &usize| !plan.key.contains(at) && !plan.columns[*at].name.eq_ignore_ascii_case(mark);
    let mut body = String::from("{");
    json::push_string(&mut body, mark);
    body.push(':');
    body.push_str(none);
    let sent = |at: &usize| {
        let is_null = nulls && job.row[*at].is_null() && plan.remote_cursor() != Some(*at);
        job.columns.contains(at) || is_null && !job.left_out.contains(at)
    };
    for at in (0..plan.columns.len()).filter(sent).filter(others) {
        body.push(',');
        push_member(&mut body, plan, &job.row, at);
    }
    body.push('}');
    requester.request(Method::Patch, url, "return=representation", Some(body))
}

/// Builds a request that shows whether a column exists.
pub fn probe(requester: &Requester, plan: &Plan, column: &str) -> HttpRequest {
    let url =
        format!("{}/{}?select={}&limit=0", requester.root(), percent(&plan.selection.table), percent(&name(column)));
    requester.request(Method::Get, url, "", None)
}

fn target(
    requester: &Requester,
    plan: &Plan,
    keys: &[&[Value]],
    guard: &RowGuard,
    select: Option<&[String]>,
) -> String {
    let mut url = format!("{}/{}?", requester.root(), percent(&plan.selection.table));
    push_keys(&mut url, &plan.selection, keys);
    if let (RowGuard::Cursor(values), Some(cursor)) = (guard, plan.selection.cursor.as_deref()) {
        match values.as_slice() {
            [value] if value.is_empty() => push_pair(&mut url, &name(cursor), "is.null"),
            [value] => push_pair(&mut url, &name(cursor), &format!("eq.{value}")),
            values => push_pair(&mut url, &name(cursor), &list(values.iter().map(String::as_str))),
        }
    }
    if let Some(columns) = select {
        push_select(&mut url, columns);
    }
    url
}

fn push_select(url: &mut String, columns: &[String]) {
    url.push_str("&select=");
    push_list(url, columns.iter().map(|column| name(column)));
}

fn push_object(body: &mut String, plan: &Plan, row: &[Value], columns: &[usize]) {
    for (index, at) in columns.iter().enumerate() {
        body.push(if index > 0 { ',' } else { '{' });
        push_member(body, plan, row, *at);
    }
    body.push_str(if columns.is_empty() { "{}" } else { "}" });
}

fn push_member(body: &mut String, plan: &Plan, row: &[Value], at: usize) {
    let column = &plan.columns[at];
    json::push_string(body, &column.name);
    body.push(':');
    if !push_json(body, column, &row[at]) {
        // `unsendable` has refused such values before.
        body.push_str("null");
    }
}

/// Returns why no remote could accept a change, or `None` if it can be sent.
pub fn unsendable(plan: &Plan, job: &Job) -> Option<String> {
    let name = |at: usize| plan.columns[at].name.as_str();
    if let Some(at) = plan.key.iter().zip(&job.key).find(|(_, value)| value.is_null()).map(|(at, _)| *at) {
        return Some(format!("Key column {} of a row of table {} is NULL: give it a value", name(at), plan.name()));
    }
    let mut scratch = String::new();
    let bad = job.columns.iter().find(|at| {
        scratch.clear();
        !push_json(&mut scratch, &plan.columns[**at], &job.row[**at])
    });
    bad.map(|at| format!("{}.{} holds no valid JSON, which its type requires", plan.name(), name(*at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sqlite::{Connection, PageFile},
        sync::{
            config::{checked::Config, options::TableSync},
            postgrest::keyed::{read, same_prefix},
            schema::table::LocalTable,
        },
    };

    fn requester(schema: &str) -> Requester {
        let options = format!(r#"{{"url":"http://h/r","key":"k","schema":"{schema}","tables":[{{"table":"t"}}]}}"#);
        Requester::new(&Config::new(serde_json::from_str(&options).unwrap()).unwrap(), None, None)
    }

    fn plan(options: &str) -> Plan {
        plan_of("CREATE TABLE t(id INTEGER PRIMARY KEY, n NUMERIC TEXT, u TEXT, \"a,b\" TEXT, j JSON TEXT)", options)
    }

    fn plan_of(schema: &str, options: &str) -> Plan {
        let connection = Connection::open(&PageFile::default()).unwrap();
        connection.exec(schema).unwrap();
        let options: TableSync = serde_json::from_str(options).unwrap();
        Plan::new(&options, LocalTable::read(&connection, "t").unwrap().unwrap(), &[]).unwrap()
    }

    fn show(request: &HttpRequest) -> String {
        let prefer = request.headers.iter().find(|(name, _)| name == "prefer").map_or("", |(_, value)| value);
        let body = request.body.as_deref().map(|body| String::from_utf8_lossy(body).into_owned()).unwrap_or_default();
        let url = request.url.strip_prefix("http://h/r/").unwrap().replace("%22", "'");
        format!("{} {url} ({prefer}) {body}", request.method.as_str()).trim_end().to_owned()
    }

    #[test]
    fn requests_name_their_keys_and_guard_them() {
        let (requester, plan) =
            (requester("public"), plan(r#"{"table":"t","columns":["n","u"],"cursor":"u","deleted":"gone"}"#));
        let row = [Value::Integer(i64::MAX), Value::from("1.50"), Value::from("2026-01-01T00:00:00+00:00")];
        let key = [Value::Integer(7)];
        let cursor = |values: &[&str]| RowGuard::Cursor(values.iter().map(|value| (*value).to_owned()).collect());
        assert_eq!(
            show(&insert(&requester, &plan, &[(&row, vec![0, 1]), (&row, vec![0])], false)),
            "POST t?columns=id,n&on_conflict=id&select=id,n,u,gone \
             (missing=default,resolution=ignore-duplicates,return=representation) \
             [{\"id\":9223372036854775807,\"n\":1.50},{\"id\":9223372036854775807}]"
        );
        assert_eq!(
            show(&update(&requester, &plan, &[&key], &row, &[1], &cursor(&["2026-01-01T00:00:00+00:00"]), false)),
            "PATCH t?id=eq.7&u=eq.2026-01-01T00:00:00%2B00:00&select=id,n,u,gone (return=representation) {\"n\":1.50}"
        );
        assert_eq!(
            show(&delete(&requester, &plan, &[&key, &[Value::Integer(8)]], &cursor(&[""]), false)),
            "DELETE t?id=in.('7','8')&u=is.null&select=id (return=representation)"
        );
        assert_eq!(
            show(&soft_delete(&requester, &plan, &[&key], &cursor(&["1", "2"]), "\"now\"", true)),
            "PATCH t?id=eq.7&u=in.('1','2') (return=minimal,count=exact) {\"gone\":\"now\"}"
        );
        assert_eq!(show(&read(&requester, &plan.selection, &[&key])), "GET t?select=id,n,u,gone&id=eq.7 ()");
        assert_eq!(show(&probe(&requester, &plan, "a,b")), "GET t?select='a,b'&limit=0 ()");
    }

    #[test]
    fn composite_keys_are_named_in_full() {
        let (requester, plan) = (requester("public"), plan(r#"{"table":"t","columns":["n"],"primaryKey":["id","u"]}"#));
        let keys = [
            [Value::Integer(1), Value::from("a,b")],
            [Value::Integer(1), Value::from("\"")],
            [Value::Integer(2), Value::from("x")],
        ];
        let keys: Vec<&[Value]> = keys.iter().map(|key| &key[..]).collect();
        assert!(same_prefix(&keys[..2]) && !same_prefix(&keys));
        assert_eq!(
            show(&delete(&requester, &plan, &keys[..2], &RowGuard::None, false)),
            "DELETE t?id=eq.1&u=in.('a,b','%5C'')&select=id,u (return=representation)"
        );
        assert_eq!(
            show(&read(&requester, &plan.selection, &keys[1..])),
            "GET t?select=id,n,u&or=(and(id.eq.'1',u.eq.'%5C''),and(id.eq.'2',u.eq.'x')) ()"
        );
    }

    #[test]
    fn names_of_parameters_are_columns_in_quotes() {
        let schema = r#"CREATE TABLE t("on_conflict" INTEGER PRIMARY KEY, "order" TEXT, "apikey" TEXT, "or" TEXT)"#;
        let options = r#"{"table":"t","columns":["order","apikey"],"cursor":"apikey","deleted":"or"}"#;
        let (requester, plan) = (requester("public"), plan_of(schema, options));
        let row = [Value::Integer(1), Value::from("x"), Value::from("7")];
        let keys: [&[Value]; 2] = [&[Value::Integer(1)], &[Value::Integer(2)]];
        let guard = RowGuard::Cursor(vec!["7".to_owned()]);
        assert_eq!(
            show(&insert(&requester, &plan, &[(&row, vec![0, 1])], false)),
            "POST t?columns='on_conflict','order'&on_conflict='on_conflict'&select='on_conflict','order','apikey','or' \
             (resolution=ignore-duplicates,return=representation) [{\"on_conflict\":1,\"order\":\"x\"}]"
        );
        assert_eq!(
            show(&update(&requester, &plan, &keys[..1], &row, &[1], &guard, true)),
            "PATCH t?'on_conflict'=eq.1&'apikey'=eq.7 (return=minimal,count=exact) {\"order\":\"x\"}"
        );
        assert_eq!(
            show(&delete(&requester, &plan, &keys, &RowGuard::None, true)),
            "DELETE t?'on_conflict'=in.('1','2') (return=minimal,count=exact)"
        );
        assert_eq!(
            show(&read(&requester, &plan.selection, &keys)),
            "GET t?select='on_conflict','order','apikey','or'&'on_conflict'=in.('1','2') ()"
        );
        assert_eq!(show(&probe(&requester, &plan, "order")), "GET t?select='order'&limit=0 ()");
    }

    #[test]
    fn writes_go_to_their_schema() {
        let (requester, plan) = (requester("other"), plan(r#"{"table":"t"}"#));
        let profile =
            |request: HttpRequest| request.headers.into_iter().find(|(name, _)| name.ends_with("profile")).unwrap();
        let key: &[Value] = &[Value::Integer(1)];
        assert_eq!(
            profile(delete(&requester, &plan, &[key], &RowGuard::None, false)),
            ("content-profile".into(), "other".into())
        );
        assert_eq!(profile(read(&requester, &plan.selection, &[key])), ("accept-profile".into(), "other".into()));
    }
}
