//! Interprets answers of PostgREST: a page, a retry, a fresh token, or an error. Statuses and codes decide, never
//! texts.

use super::retry_delay::retry_after;
use crate::{
    error::{Detail, Error, ErrorCode},
    memory::no_memory,
    ports::{HttpFailure, HttpResponse},
    sync::{
        config::credentials::Secrets,
        values::json::{self, JsonError},
    },
    time::Timestamp,
};

/// The meaning of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The body should be rows.
    Body,
    /// The token was refused; a fresh one may be accepted.
    Unauthorized(Error),
    /// A retry may succeed.
    Retry {
        /// The server's `Retry-After`, in milliseconds.
        after_ms: Option<u64>,
        /// The retry should be a smaller request.
        smaller: bool,
        /// The error to fail with once the retry budget is used up.
        error: Error,
    },
    /// A column doesn't exist.
    UnknownColumn(Error),
    /// Nothing is at this URL: the other root may be the right one.
    UnknownPath(Error),
    /// PostgREST answered, but the table or function doesn't exist or doesn't support the request.
    Mismatch(Error),
    /// PostgREST or PostgreSQL refused the request, with an error code.
    Rejected(Error),
    /// The answer is larger than the limit: a smaller request may succeed.
    TooLarge(Error),
    /// A redirect, with its `Location` if there is one. Redirects aren't followed.
    Moved(Option<String>),
    /// Retries would fail, whatever is sent.
    Fail(Error),
}

/// With a longer `Retry-After` the call fails instead of waiting.
const LONGEST_WAIT_MS: u64 = 120_000;

/// The hint about answers that PostgREST can't have sent.
pub const NOT_POSTGREST: &str = "remote.url should be a Supabase project or a PostgREST root";

/// The hint about a refusal of which nothing but its code is known.
pub const SEE_CODE: &str = "See details.remoteCode, the error code of PostgREST or PostgreSQL";

/// The hint about truncated answers.
pub(super) const CUT: &str = "The network or a proxy cut it off: try again";

/// The hint about a status that SQL of the project chose.
const OWN_STATUS: &str = "A function, a trigger or a policy of the project refused it with this status";

/// Interprets an answer to a request about `table`. Errors quote the answer with its `secrets` masked.
pub fn interpret(
    table: &str,
    answer: &Result<HttpResponse, HttpFailure>,
    secrets: &Secrets,
    now: Timestamp,
) -> Verdict {
    let response = match answer {
        Ok(response) => response,
        Err(failure) => return interpret_failure(table, failure, secrets),
    };
    let is_success = matches!(response.status, 200 | 201 | 204 | 206);
    if is_success && !is_json(&response.body) {
        // As a sign-in page of the network: it confirms nothing, nor is PostgREST at this URL.
        let text = format!("The remote's answer for {} is not JSON", target(table));
        return Verdict::Fail(Error::new(ErrorCode::SyncProtocol, text).hint(NOT_POSTGREST).detail("table", table));
    }
    if is_success && !response.body.starts_with(b"{") {
        return Verdict::Body;
    }
    let mut problem = Problem::read(response);
    if matches!(response.status, 300..=303 | 305..=399) && !has_own_status(&problem.code) {
        return Verdict::Moved(response.header("location").map(|location| secrets.mask(location)));
    }
    if is_success && !has_own_status(&problem.code) {
        return Verdict::Body;
    }
    problem.message = secrets.mask(&problem.message);
    let error = |code| problem.error(code, table, response.status);
    let retry = |smaller| {
        let after_ms = response.header("retry-after").and_then(|text| retry_after(text, now));
        let error = error(ErrorCode::SyncServer).hint("The remote fails or is busy: try again later");
        if let Some(wish) = after_ms.filter(|wish| *wish > LONGEST_WAIT_MS) {
            return Verdict::Fail(error.detail("retryAfterMs", wish).hint("Try again after that time"));
        }
        Verdict::Retry { after_ms, smaller, error }
    };
    match (response.status, problem.code.as_str()) {
        // These say nothing of the URL then, nor of success.
        (200..400 | 404, code) if has_own_status(code) => {
            Verdict::Rejected(error(ErrorCode::SyncRejected).hint(OWN_STATUS))
        }
        (401, "42501") => Verdict::Unauthorized(
            error(ErrorCode::SyncUnauthorized)
                .hint("Without a signed-in user the role is anon: sign in, or grant it the right and give it a policy"),
        ),
        (401, _) => Verdict::Unauthorized(
            error(ErrorCode::SyncUnauthorized).hint("Check remote.key and what accessToken returns, and sign in again"),
        ),
        // 57014 is a statement that took too long, whatever the status.
        (_, "57014") | (413 | 504, _) => retry(true),
        (_, code) if lost_to_another(code) => retry(false),
        (408 | 425 | 429 | 500.., _) => retry(false),
        (_, "25006") => Verdict::Fail(
            error(ErrorCode::SyncServer)
                .hint("The remote database is read-only: check its dashboard; no change is lost"),
        ),
        (_, "42703" | "PGRST204") => Verdict::UnknownColumn(
            error(ErrorCode::SyncSchemaMismatch)
                .hint("List the columns that both sides have in `columns`, or migrate one side"),
        ),
        (404, "42P01" | "PGRST205") => Verdict::Mismatch(
            error(ErrorCode::SyncSchemaMismatch)
                .hint("Create the table remotely, name it in `remoteTable`, or reload PostgREST's schema cache"),
        ),
        // PGRST2xx comes from PostgREST's schema cache, so the root is right; PGRST125 means a path outside of its API.
        // 42883 is a function that a trigger misses: one that a request calls is PGRST202.
        (404, code) if code.starts_with("PGRST2") || code == "42883" => Verdict::Mismatch(
            error(ErrorCode::SyncSchemaMismatch).hint("Create it remotely, or reload PostgREST's schema cache"),
        ),
        (404, _) => Verdict::UnknownPath(
            error(ErrorCode::SyncSchemaMismatch).hint("Check remote.url, remote.schema and the table's name"),
        ),
        (406, "PGRST106") => Verdict::Mismatch(
            error(ErrorCode::SyncSchemaMismatch).hint("Expose the schema in PostgREST, or correct remote.schema"),
        ),
        // No unique constraint covers the key columns.
        (_, "42P10") => Verdict::Mismatch(
            error(ErrorCode::SyncSchemaMismatch)
                .hint("Give the remote table a primary key, or name the columns of a unique one in `primaryKey`"),
        ),
        (400.., "") => Verdict::Fail(
            error(ErrorCode::SyncServer)
                .hint("The project or a gateway before it refuses the request: check its dashboard; no change is lost"),
        ),
        (400.., code) => Verdict::Rejected(error(ErrorCode::SyncRejected).hint(rejection_hint(code))),
        _ => Verdict::Fail(error(ErrorCode::SyncProtocol).hint(NOT_POSTGREST)),
    }
}

/// Returns the code of PostgREST or PostgreSQL in an error; empty without one.
pub fn remote_code(error: &Error) -> &str {
    match error.details.get("remoteCode") {
        Some(Detail::Text(code)) => code,
        _ => "",
    }
}

/// Returns whether a server before PostgREST refused a request for the length of its URL or headers.
pub fn is_too_long(error: &Error) -> bool {
    remote_code(error).is_empty() && matches!(error.details.get("status"), Some(Detail::Int(414 | 431)))
}

/// Returns whether the server rolled a transaction back in favour of another one, as a deadlock of two writes: it may succeed
/// at once when it is sent again, and no row is at fault.
pub fn lost_to_another(code: &str) -> bool {
    matches!(code, "40001" | "40P01")
}

/// Returns whether PostgreSQL couldn't compare or convert a value: class 22, or 42883 for a missing operator.
pub fn is_data_exception(code: &str) -> bool {
    code.starts_with("22") || code == "42883"
}

/// Returns whether SQL of the project raised `SQLSTATE 'PTxyz'`, which makes PostgREST answer with the status xyz:
/// <https://docs.postgrest.org/en/stable/references/errors.html>.
pub fn has_own_status(code: &str) -> bool {
    code.strip_prefix("PT").is_some_and(|status| status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()))
}

fn rejection_hint(code: &str) -> &'static str {
    match code {
        "428C9" => {
            "The remote generates this value: declare the column GENERATED BY DEFAULT there, or leave it out of `columns`"
        }
        "23505" => {
            "Another row has the value of a unique column: change one of the two, and retry. Rows can exchange such values only \
             in columns that are UNIQUE in the local table, too, and that may be NULL, or whose constraint is DEFERRABLE in a \
             project with tidelock's SQL helpers and a table without JSON columns"
        }
        _ => SEE_CODE,
    }
}

/// Returns the error for a redirect. `root` is the `remote.url` that would avoid it, if known.
pub fn moved(table: &str, location: Option<&str>, root: Option<&str>) -> Error {
    let to = location.unwrap_or("another address");
    let hint = match root {
        Some(root) => format!("Set remote.url to {root}: redirects are not followed, to protect keys and rows"),
        None => "Open remote.url in a browser to see where it leads: to https, another host, or a sign-in page. Redirects are not \
                 followed, to protect keys and rows"
            .to_owned(),
    };
    let error = Error::new(ErrorCode::SyncProtocol, format!("The remote redirects to {to}"));
    let error = error.hint(hint).detail("table", table);
    location.into_iter().fold(error, |error, location| error.detail("location", location))
}

/// Returns whether a body is empty, or begins as JSON does.
fn is_json(body: &[u8]) -> bool {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    first.is_none_or(|byte| matches!(byte, b'[' | b'{' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'))
}

/// Returns what a request is about, for a message. Users don't know the names of the helpers' functions.
fn target(table: &str) -> String {
    match table {
        "tidelock_state" => "its sync helpers".to_owned(),
        "tidelock_schema" => "its schema".to_owned(),
        _ => format!("table {table}"),
    }
}

/// Returns what a request is for, for a message.
fn doing(table: &str) -> String {
    match table {
        "tidelock_state" | "tidelock_schema" => format!("reading {}", target(table)),
        _ => format!("syncing {table}"),
    }
}

fn interpret_failure(table: &str, failure: &HttpFailure, secrets: &Secrets) -> Verdict {
    let error = |text: String| Error::new(ErrorCode::SyncNetwork, text).detail("table", table);
    match failure {
        HttpFailure::Network(words) => Verdict::Retry {
            after_ms: None,
            smaller: false,
            error: error(format!("The remote could not be reached while {}", doing(table)))
                .hint("Check the network, remote.url, and whether the server allows this page (CORS)")
                .cause(secrets.mask(words)),
        },
        HttpFailure::NoMemory => Verdict::TooLarge(no_memory("for an answer of the remote").detail("table", table)),
        HttpFailure::TooLarge { limit } => Verdict::TooLarge(
            Error::new(
                ErrorCode::SyncProtocol,
                format!(
                    "The remote's answer for {} is larger than remote.maxResponseBytes ({limit} bytes)",
                    target(table)
                ),
            )
            .hint("Raise remote.maxResponseBytes, or leave large columns out of `columns`")
            .detail("table", table)
            .detail("limit", *limit),
        ),
        HttpFailure::Timeout => Verdict::Retry {
            after_ms: None,
            smaller: true,
            error: error(format!("The remote sent no complete answer within remote.timeoutMs while {}", doing(table)))
                .hint("Raise remote.timeoutMs or lower remote.pageSize"),
        },
    }
}

/// The error object in a body of PostgREST, or of a gateway before it.
struct Problem {
    /// A code of PostgREST or PostgreSQL, else empty.
    code: String,
    message: String,
    /// The columns of a violated unique constraint, as PostgreSQL's details name them.
    columns: Option<String>,
}

impl Problem {
    fn read(response: &HttpResponse) -> Self {
        let mut problem = Self { code: String::new(), message: String::new(), columns: None };
        let body = std::str::from_utf8(&response.body).unwrap_or("");
        for (name, raw) in json::members(body).unwrap_or_default() {
            let Some(text) = json::text(raw) else { continue };
            match &*name {
                "code" if is_code(&text) => problem.code = text.into_owned(),
                "message" => problem.message = text.into_owned(),
                "details" => problem.columns = key_columns(&text).map(str::to_owned),
                _ => {}
            }
        }
        problem
    }

    fn error(&self, code: ErrorCode, table: &str, status: u16) -> Error {
        let mut message = format!("The remote answered {status} for {}", target(table));
        if !self.message.is_empty() {
            message.push_str(": ");
            message.push_str(&self.message);
        }
        let error = Error::new(code, message).detail("table", table).detail("status", i64::from(status));
        let error = if self.code.is_empty() { error } else { error.detail("remoteCode", self.code.clone()) };
        let columns = self.columns.as_ref().filter(|_| self.code == "23505");
        columns.into_iter().fold(error, |error, columns| error.detail("columns", columns.clone()))
    }
}

/// Returns the total in `Content-Range`: the number after the slash of `0-999/25000`.
pub fn counted_rows(response: &HttpResponse) -> Option<u64> {
    response.header("content-range")?.rsplit_once('/')?.1.parse().ok()
}

/// Returns the columns of `Key (a, b)=(1, 2) already exists.`, in any language. The values are the user's data and left
/// out.
fn key_columns(details: &str) -> Option<&str> {
    let (before, _) = details.split_once(")=(")?;
    before.split_once('(').map(|(_, columns)| columns)
}

/// Returns whether a text is `PGRST` with a number, or the five characters of an SQLSTATE.
fn is_code(text: &str) -> bool {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    plain(text) && (text.len() == 5 || text.starts_with("PGRST"))
}

/// Why a body can't be parsed.
pub enum Unreadable {
    /// It is truncated: a retry may succeed.
    Cut,
    /// It has another form than expected.
    Failed(Error),
}

impl From<JsonError> for Unreadable {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Truncated => Self::Cut,
            JsonError::Malformed(at) => Self::Failed(
                Error::new(ErrorCode::SyncProtocol, "The remote's answer is not JSON")
                    .hint(NOT_POSTGREST)
                    .detail("offset", at),
            ),
            JsonError::NotRows | JsonError::MissingColumn(_) => Self::Failed(
                Error::new(ErrorCode::SyncProtocol, "The remote's answer is not a list of the requested rows")
                    .hint(NOT_POSTGREST),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<HttpResponse, HttpFailure> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(HttpResponse { status, headers, body: body.as_bytes().to_vec() })
    }

    fn show(answer: &Result<HttpResponse, HttpFailure>) -> String {
        match interpret("t", answer, &Secrets::default(), Timestamp(0)) {
            Verdict::Body => "body".to_owned(),
            Verdict::Unauthorized(error) => format!("unauthorized {}", error.code),
            Verdict::Retry { after_ms, smaller, error } => format!("retry {after_ms:?} {smaller} {}", error.code),
            Verdict::UnknownColumn(error) => format!("column {}", error.code),
            Verdict::UnknownPath(error) => format!("path {}", error.code),
            Verdict::Mismatch(error) => format!("mismatch {}", error.code),
            Verdict::Rejected(error) => format!("rejected {}", error.code),
            Verdict::TooLarge(error) => format!("too large {}", error.code),
            Verdict::Moved(location) => format!("moved {}", location.as_deref().unwrap_or("")),
            Verdict::Fail(error) => format!("fail {}", error.code),
        }
    }

    #[test]
    fn messages_name_no_function_of_the_helpers() {
        let failures = [HttpFailure::Network("no route".into()), HttpFailure::Timeout];
        let answers = failures.map(Err).into_iter().chain([answer(500, &[], "{}"), answer(200, &[], "<html>")]);
        for found in answers {
            for (table, shown) in
                [("tidelock_state", "its sync helpers"), ("tidelock_schema", "its schema"), ("t", "t")]
            {
                let verdict = interpret(table, &found, &Secrets::default(), Timestamp(0));
                let (Verdict::Retry { error, .. } | Verdict::Fail(error)) = verdict else { panic!("{found:?}") };
                assert!(error.message.contains(shown) && !error.message.contains("tidelock_"), "{error}");
            }
        }
    }

    #[test]
    fn answers_of_postgrest_12_to_16() {
        for (status, body, expected) in [
            (200, "[]", "body"),
            (206, "[]", "body"),
            (200, "", "body"),
            (200, " \n7", "body"),
            (200, "<!doctype html>", "fail sync_protocol"),
            (201, "OK", "fail sync_protocol"),
            (401, r#"{"code":"PGRST301","message":"JWT expired"}"#, "unauthorized sync_unauthorized"),
            (401, r#"{"code":"PGRST303"}"#, "unauthorized sync_unauthorized"),
            (401, r#"{"message":"No API key found in request"}"#, "unauthorized sync_unauthorized"),
            (403, r#"{"code":"42501","message":"permission denied"}"#, "rejected sync_rejected"),
            (404, r#"{"code":"42P01"}"#, "mismatch sync_schema_mismatch"),
            (404, r#"{"code":"PGRST205"}"#, "mismatch sync_schema_mismatch"),
            (404, "{}", "path sync_schema_mismatch"),
            (404, "<html>", "path sync_schema_mismatch"),
            (404, r#"{"code":"PGRST125"}"#, "path sync_schema_mismatch"),
            (400, r#"{"code":"42703"}"#, "column sync_schema_mismatch"),
            (400, r#"{"code":"PGRST204"}"#, "column sync_schema_mismatch"),
            (400, r#"{"code":"22P02"}"#, "rejected sync_rejected"),
            (400, r#"{"code":"428C9"}"#, "rejected sync_rejected"),
            (400, r#"{"code":"42P10"}"#, "mismatch sync_schema_mismatch"),
            (406, r#"{"code":"PGRST106"}"#, "mismatch sync_schema_mismatch"),
            (416, r#"{"code":"PGRST103"}"#, "rejected sync_rejected"),
            (401, r#"{"code":"PT401"}"#, "unauthorized sync_unauthorized"),
            (404, r#"{"code":"PT404"}"#, "rejected sync_rejected"),
            (409, r#"{"code":"PT409"}"#, "rejected sync_rejected"),
            (413, r#"{"code":"PT413"}"#, "retry None true sync_server"),
            (429, r#"{"code":"PT429"}"#, "retry None false sync_server"),
            (503, r#"{"code":"PT503"}"#, "retry None false sync_server"),
            (200, r#"{"code":"PT200","message":"no"}"#, "rejected sync_rejected"),
            (301, r#"{"code":"PT301"}"#, "rejected sync_rejected"),
            (200, r#"{"code":"PTA00"}"#, "body"),
            (429, "slow down", "retry None false sync_server"),
            (413, "", "retry None true sync_server"),
            (500, r#"{"code":"57014"}"#, "retry None true sync_server"),
            (500, r#"{"code":"40P01"}"#, "retry None false sync_server"),
            (503, r#"{"code":"PGRST001"}"#, "retry None false sync_server"),
            (504, r#"{"code":"PGRST003"}"#, "retry None true sync_server"),
            (409, r#"{"code":"40001"}"#, "retry None false sync_server"),
            (405, r#"{"code":"25006"}"#, "fail sync_server"),
            (300, "", "moved "),
            (301, "", "moved "),
            (303, "[]", "moved "),
            (308, "", "moved "),
            (304, "", "fail sync_protocol"),
            (201, "[]", "body"),
            (204, "", "body"),
            (409, r#"{"code":"23505"}"#, "rejected sync_rejected"),
            (404, r#"{"code":"PGRST202"}"#, "mismatch sync_schema_mismatch"),
            (402, r#"{"code":"PaymentRequired"}"#, "fail sync_server"),
            (403, "<html>", "fail sync_server"),
            (400, "", "fail sync_server"),
            (405, "{}", "fail sync_server"),
            (409, "", "fail sync_server"),
            (410, "", "fail sync_server"),
            (414, "<html>", "fail sync_server"),
            (451, "", "fail sync_server"),
        ] {
            assert_eq!(show(&answer(status, &[], body)), expected, "{status} {body}");
        }
        assert_eq!(show(&Err(HttpFailure::Network("reset".into()))), "retry None false sync_network");
        assert_eq!(show(&Err(HttpFailure::Timeout)), "retry None true sync_network");
        assert_eq!(show(&Err(HttpFailure::TooLarge { limit: 9 })), "too large sync_protocol");
        assert_eq!(show(&Err(HttpFailure::NoMemory)), "too large out_of_memory");
        assert_eq!(show(&answer(307, &[("location", "https://x/orders")], "")), "moved https://x/orders");
    }

    #[test]
    fn retry_after_is_honoured_within_reason() {
        let retry = |text| show(&answer(429, &[("retry-after", text)], ""));
        assert_eq!(retry("2"), "retry Some(2000) false sync_server");
        assert_eq!(retry("0"), "retry Some(0) false sync_server");
        assert_eq!(retry("Thu, 01 Jan 1970 00:00:07 GMT"), "retry Some(7000) false sync_server");
        assert_eq!(retry("soon"), "retry None false sync_server");
        assert_eq!(retry("3600"), "fail sync_server");
    }

    #[test]
    fn errors_say_which_table_and_what_the_remote_said() {
        let mut secrets = Secrets::default();
        secrets.add("the-token");
        let denied = answer(403, &[], r#"{"code":"42501","message":"permission denied to \u0074he-token"}"#);
        let Verdict::Rejected(error) = interpret("orders", &denied, &secrets, Timestamp(0)) else {
            panic!("a refusal");
        };
        assert_eq!(error.message, "The remote answered 403 for table orders: permission denied to ***");
        assert_eq!(error.details["remoteCode"], "42501".into());
        assert_eq!(error.details["table"], "orders".into());
    }
}
