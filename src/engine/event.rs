//! What a database tells its page without being asked.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;

use crate::error::Detail;

/// One event; crosses the boundary as `{ type, detail }`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// What kind it is: the name that listeners give.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The facts, an object.
    pub detail: Detail,
}

impl Event {
    /// An event with these facts.
    pub fn new<const N: usize>(kind: &'static str, facts: [(&'static str, Detail); N]) -> Self {
        let facts: BTreeMap<_, _> = facts.into_iter().map(|(name, fact)| (Cow::Borrowed(name), fact)).collect();
        Self { kind, detail: Detail::Object(facts) }
    }

    /// Something that deserves a person's attention, but stopped nothing.
    pub fn warning(code: &str, message: impl Into<String>) -> Self {
        Self::new("warning", [("code", code.into()), ("message", Detail::Text(message.into()))])
    }

    /// A commit changed these tables; `None`: anything may have changed (schema, restore).
    pub fn change(tables: Option<Vec<String>>) -> Self {
        let all = tables.is_none();
        let tables = tables.unwrap_or_default().into_iter().map(Detail::Text).collect();
        Self::new("change", [("tables", Detail::List(tables)), ("all", all.into())])
    }

    /// These live queries should run again.
    pub fn live(ids: Vec<u32>) -> Self {
        Self::new("live", [("ids", Detail::List(ids.into_iter().map(Detail::from).collect()))])
    }

    /// The lock changed hands: `held`, `lost` or `released`.
    pub fn lock(state: &'static str) -> Self {
        Self::new("lock", [("state", state.into())])
    }
}
