//! JavaScript's side of the codec, in Rust.

use crate::{
    Value,
    sqlite::{FlatRows, codec::utf16_length, tag},
};

/// Encodes rows of parameters as JavaScript does.
pub fn encode(rows: &[Vec<Value>]) -> Vec<u8> {
    let columns = rows.first().map_or(0, Vec::len);
    let (mut slots, mut tags, mut text, mut blobs) = (vec![], vec![], vec![], vec![]);
    for value in rows.iter().flatten() {
        let (tag, slot) = match value {
            Value::Null => (tag::NULL, 0),
            Value::Integer(value) if value.unsigned_abs() < 1 << 53 => (tag::INTEGER, (*value as f64).to_bits()),
            Value::Integer(value) => (tag::BIGINT, *value as u64),
            Value::Real(value) => (tag::REAL, value.to_bits()),
            Value::Text(value) => {
                text.extend_from_slice(value.as_bytes());
                (tag::TEXT, (value.encode_utf16().count() as f64).to_bits())
            }
            Value::Blob(value) => {
                blobs.extend_from_slice(value);
                (tag::BLOB, (value.len() as f64).to_bits())
            }
        };
        slots.extend_from_slice(&u64::to_le_bytes(slot));
        tags.push(tag);
    }
    let head = [rows.len(), columns, text.len(), blobs.len()];
    let head: Vec<u8> = head.iter().flat_map(|count| (*count as u32).to_le_bytes()).collect();
    [head, slots, tags, text, blobs].concat()
}

/// Decodes rows as JavaScript does: the texts decoded once and split by UTF-16 lengths.
pub fn decode(flat: &FlatRows) -> Vec<Vec<Value>> {
    let units: Vec<u16> = std::str::from_utf8(&flat.wide).unwrap().encode_utf16().collect();
    assert_eq!(units.len(), utf16_length(&flat.wide));
    assert!(flat.text.is_ascii());
    let (mut text, mut wide, mut blob) = (0, 0, 0);
    let mut known: Vec<String> = vec![];
    let mut values = flat.tags.iter().zip(&flat.slots).map(|(tag, slot)| {
        let number = f64::from_bits(*slot);
        match *tag {
            tag::INTEGER => Value::Integer(number as i64),
            tag::BIGINT => Value::Integer(*slot as i64),
            tag::REAL => Value::Real(number),
            tag::NULL => Value::Null,
            tag::TEXT | tag::NEW_TEXT => {
                let end = text + number as usize;
                let cut = String::from_utf8(flat.text[text..end].to_vec()).unwrap();
                text = end;
                if *tag == tag::NEW_TEXT {
                    known.push(cut.clone());
                }
                Value::Text(cut)
            }
            tag::WIDE | tag::NEW_WIDE => {
                let end = wide + number as usize;
                let cut = String::from_utf16(&units[wide..end]).unwrap();
                assert!(!cut.is_ascii());
                wide = end;
                if *tag == tag::NEW_WIDE {
                    known.push(cut.clone());
                }
                Value::Text(cut)
            }
            tag::BLOB => {
                let end = blob + number as usize;
                let cut = flat.blobs[blob..end].to_vec();
                blob = end;
                Value::Blob(cut)
            }
            tag::AGAIN => Value::Text(known[number as usize].clone()),
            tag => panic!("tag {tag}"),
        }
    });
    let rows = (0..flat.rows).map(|_| values.by_ref().take(flat.columns).collect()).collect();
    assert_eq!(values.next(), None);
    assert_eq!((text, wide, blob), (flat.text.len(), units.len(), flat.blobs.len()));
    rows
}
