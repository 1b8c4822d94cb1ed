//! Finds the queries of one text that may concern a row, by the value that a column must equal.

use crate::{collections::Map, value::Value};

/// The queries of one text whose WHERE has `column = parameter`, by the parameter's value.
///
/// It may find too many: values that it calls equal may differ for SQLite, but never the other way round.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    ids: Map<Vec<u8>, Vec<u32>>,
}

/// The first byte of a key.
const NUMBER: u8 = 0;
const TEXT: u8 = 1;
const OTHER: u8 = 2;

impl Lookup {
    /// Adds a query.
    pub fn add(&mut self, value: &Value, id: u32) {
        let key = key(value);
        match self.ids.get_mut(&key) {
            Some(ids) => ids.push(id),
            None => _ = self.ids.insert(key, vec![id]),
        }
    }

    /// Removes a query.
    pub fn remove(&mut self, id: u32) {
        self.ids.retain(|_, ids| {
            ids.retain(|known| *known != id);
            !ids.is_empty()
        });
    }

    /// Returns the queries whose parameter may equal this value of a row.
    pub fn find(&self, value: &Value) -> Vec<u32> {
        let mut found = Vec::new();
        // NULL equals nothing.
        if value.is_null() {
            return found;
        }
        let wanted = key(value);
        found.extend(self.ids.get(&wanted).into_iter().flatten());
        for kind in [NUMBER, TEXT, OTHER] {
            // A number may equal a text, after the conversions that the column's type asks for.
            if kind != wanted[0] {
                let first = vec![kind];
                let all = self.ids.from(&first).take_while(|(key, _)| key[0] == kind);
                all.for_each(|(_, ids)| found.extend(ids));
            }
        }
        found
    }
}

/// Equal for values of one type that SQLite may call equal: numbers by their value, texts by any of its collations.
fn key(value: &Value) -> Vec<u8> {
    let number = |number: f64| [&[NUMBER][..], &(number + 0.0).to_be_bytes()].concat();
    match value {
        Value::Integer(value) => number(*value as f64),
        Value::Real(value) => number(*value),
        Value::Text(text) => [&[TEXT][..], text.trim_end_matches(' ').to_ascii_lowercase().as_bytes()].concat(),
        Value::Null | Value::Blob(_) => vec![OTHER],
    }
}

#[cfg(test)]
mod tests {
    use super::Lookup;
    use crate::value::Value;

    fn found(lookup: &Lookup, value: impl Into<Value>) -> Vec<u32> {
        let mut ids = lookup.find(&value.into());
        ids.sort_unstable();
        ids
    }

    #[test]
    fn values_that_sqlite_may_call_equal_find_each_other() {
        let mut lookup = Lookup::default();
        let values = [
            Value::from(1),
            Value::from(1.0),
            Value::from(2),
            Value::from("a"),
            Value::from("A  "),
            Value::from("b"),
            Value::Null,
            Value::Blob(vec![1]),
            Value::from(-0.0),
            Value::from(i64::MAX),
        ];
        for (id, value) in values.iter().enumerate() {
            lookup.add(value, id as u32);
        }
        let always = |ids: &[u32], all: &[u32]| {
            let mut ids = [ids, all, &[6, 7]].concat();
            ids.sort_unstable();
            ids
        };
        let (numbers, texts) = (&[0, 1, 2, 8, 9][..], &[3, 4, 5][..]);
        assert_eq!(found(&lookup, 1), always(&[0, 1], texts));
        assert_eq!(found(&lookup, 0), always(&[8], texts));
        assert_eq!(found(&lookup, 7), always(&[], texts));
        assert_eq!(found(&lookup, i64::MAX as f64), always(&[9], texts));
        assert_eq!(found(&lookup, "a "), always(&[3, 4], numbers));
        assert_eq!(found(&lookup, "1"), always(&[], numbers));
        assert_eq!(found(&lookup, Value::Blob(vec![])), always(&[], &[numbers, texts].concat()));
        assert_eq!(found(&lookup, Value::Null), [0; 0]);
        lookup.remove(0);
        lookup.remove(6);
        lookup.remove(3);
        assert_eq!(found(&lookup, 1), [1, 4, 5, 7]);
    }
}
