//! A stored database as a text file: the value of each key, in hex digits.

use serde_json::{Map, Value, json};
use tidelock::{Timestamp, ports::ChunkId, store::Contents, value::hex};

pub fn write(contents: &Contents) -> Value {
    let object = |entries: Vec<(String, &Vec<u8>)>| -> Map<String, Value> {
        entries.into_iter().map(|(key, bytes)| (key, hex(bytes).into())).collect()
    };
    let log = contents.log.iter().map(|((lsn, part), bytes)| (format!("{lsn} {part}"), bytes)).collect();
    let snapshots = contents.snapshots.iter().map(|(generation, bytes)| (generation.to_string(), bytes)).collect();
    let chunks = contents.chunks.iter().map(|(id, bytes)| (id.to_string(), bytes)).collect();
    json!({
        "head": hex(contents.head.as_ref().expect("a head")),
        "log": object(log), "snapshots": object(snapshots), "chunks": object(chunks),
    })
}

pub fn read(file: &Value) -> Contents {
    let entries = |name: &str| file[name].as_object().expect("an object").iter();
    let log = entries("log").map(|(key, bytes)| {
        let (lsn, part) = key.split_once(' ').expect("two numbers");
        ((lsn.parse().expect("a number"), part.parse().expect("a number")), unhex(bytes))
    });
    let snapshots = entries("snapshots").map(|(key, bytes)| (key.parse().expect("a number"), unhex(bytes)));
    Contents {
        head: Some(unhex(&file["head"])),
        head_copy: None,
        log: log.collect(),
        snapshots: snapshots.collect(),
        chunks: entries("chunks").map(|(id, bytes)| (ChunkId::parse(id).expect("an id"), unhex(bytes))).collect(),
    }
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

pub fn moment(value: &Value) -> Timestamp {
    Timestamp(value.as_i64().unwrap_or_else(|| panic!("no time: {value}")))
}

fn unhex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().expect("hex digits");
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).expect("hex digits")).collect()
}
