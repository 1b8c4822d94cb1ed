//! Why a table's last pull or push failed, as JSON: kept with the table, for as long as it is so.

use std::borrow::Cow;

use crate::{
    error::{Detail, Details, Error, ErrorCode},
    sync::values::json::{self, JsonKind, push_string},
    time::Timestamp,
};

/// The error as JSON, with the time in its details unless it has one.
pub fn encode(error: &Error, time: Timestamp) -> String {
    let mut details = error.details.clone();
    if !details.contains_key("time") {
        details.insert("time".into(), Detail::Text(time.to_string()));
    }
    let fields = [
        ("code", Some(Detail::Text(error.code.to_string()))),
        ("message", Some(Detail::Text(error.message.clone()))),
        ("hint", error.hint.clone().map(Detail::Text)),
        ("details", Some(Detail::Object(details))),
        ("cause", error.cause.clone().map(Detail::Text)),
    ];
    let known = fields.into_iter().filter_map(|(name, field)| Some((name, field?)));
    let mut out = String::new();
    push(&mut out, &Detail::Object(known.collect()));
    out
}

/// What [`encode`] has written; `None` for anything else.
pub fn decode(text: &str) -> Option<Error> {
    let mut fields = decode_object(text)?;
    let mut take = |name: &str| match fields.get_mut(name) {
        Some(Detail::Text(text)) => Some(std::mem::take(text)),
        _ => None,
    };
    let mut error = Error::new(ErrorCode::from_name(&take("code")?)?, take("message")?);
    (error.hint, error.cause) = (take("hint"), take("cause"));
    if let Some(Detail::Object(details)) = fields.get_mut("details") {
        error.details = std::mem::take(details);
    }
    Some(error)
}

fn push(out: &mut String, value: &Detail) {
    match value {
        Detail::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Detail::Int(number) => out.push_str(&number.to_string()),
        Detail::Text(text) => push_string(out, text),
        Detail::List(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push(out, value);
            }
            out.push(']');
        }
        Detail::Object(details) => {
            out.push('{');
            for (index, (name, value)) in details.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_string(out, name);
                out.push(':');
                push(out, value);
            }
            out.push('}');
        }
    }
}

fn decode_object(text: &str) -> Option<Details> {
    json::members(text)
        .ok()?
        .into_iter()
        .map(|(name, raw)| Some((Cow::Owned(name.into_owned()), decode_value(raw)?)))
        .collect()
}

fn decode_value(raw: &str) -> Option<Detail> {
    Some(match json::kind(raw) {
        JsonKind::Null => return None,
        JsonKind::Bool => Detail::Bool(raw == "true"),
        JsonKind::Number => Detail::Int(raw.parse().ok()?),
        JsonKind::String => Detail::Text(json::text(raw)?.into_owned()),
        JsonKind::Array => {
            Detail::List(json::elements(raw).ok()?.into_iter().map(decode_value).collect::<Option<_>>()?)
        }
        JsonKind::Object => Detail::Object(decode_object(raw)?),
    })
}

#[cfg(test)]
mod tests {
    use super::{Detail, Error, ErrorCode, Timestamp, decode, encode};

    #[test]
    fn an_error_comes_back_whole_with_its_time() {
        let time = Timestamp(1_795_159_197_123);
        let holder = Detail::Object([("title", Detail::Text("a \"b\"\n\\ é 🦀".into()))].into_iter().collect());
        let error = Error::new(ErrorCode::SyncServer, "The remote fails")
            .hint("Try again")
            .detail("status", 503)
            .detail("least", i64::MIN)
            .detail("sent", true)
            .detail("columns", vec![Detail::from("a"), Detail::List(Vec::new())])
            .detail("holder", holder)
            .cause("it is down");
        for error in [error, Error::new(ErrorCode::Internal, "")] {
            let timed = error.clone().detail("time", time.to_string());
            assert_eq!(decode(&encode(&error, time)).as_ref(), Some(&timed));
            assert_eq!(decode(&encode(&timed, Timestamp(0))), Some(timed), "it failed when it failed");
        }
    }

    #[test]
    fn anything_else_is_no_error() {
        for text in
            ["", "The remote fails", "{}", "[]", r#"{"code":"nope","message":"m"}"#, r#"{"code":"closed"}"#, "{"]
        {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
