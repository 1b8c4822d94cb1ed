//! A stored database as a text file: the records of the object stores, named as in IndexedDB (`src/browser/idb_records.rs`).
//! Bytes are hex digits, checksums decimal texts, since JSON's numbers lose their last digits.

use serde_json::{Map, Value, json};
use tidelock::{
    Timestamp,
    ports::{ChunkRef, Head, Holder, LogKind, LogRecord, Manifest, ManifestKind, Truncation},
    store::{Contents, chunk::hex},
};

pub fn write(contents: &Contents) -> Value {
    let head = contents.head.as_ref().expect("a head");
    let log: Vec<Value> = contents.log.values().flatten().map(write_log).collect();
    let snapshots: Vec<Value> = contents.snapshots.values().flatten().map(write_manifest).collect();
    let chunks: Map<String, Value> =
        contents.chunks.iter().map(|(id, bytes)| (id.clone(), hex(bytes).into())).collect();
    json!({ "head": write_head(head), "log": log, "snapshots": snapshots, "chunks": chunks })
}

pub fn read(file: &Value) -> Contents {
    let mut contents = Contents { head: Some(read_head(&file["head"])), ..Contents::default() };
    for record in list(&file["log"]).iter().map(read_log) {
        contents.log.insert((record.lsn, record.part), Some(record));
    }
    for manifest in list(&file["snapshots"]).iter().map(read_manifest) {
        contents.snapshots.insert(manifest.generation, Some(manifest));
    }
    for (id, bytes) in file["chunks"].as_object().expect("chunks") {
        contents.chunks.insert(id.clone(), unhex(bytes));
    }
    contents
}

fn write_head(head: &Head) -> Value {
    json!({
        "format": head.format, "features": head.features, "databaseId": head.database_id, "epoch": head.epoch,
        "holder": {
            "id": head.holder.id, "title": head.holder.title, "url": head.holder.url, "since": head.holder.since.0,
        },
        "generation": head.generation, "lsn": head.lsn, "epochs": head.epochs,
        "truncated": { "lsn": head.truncated.lsn, "logged": head.truncated.logged },
    })
}

fn read_head(head: &Value) -> Head {
    let (holder, truncated) = (&head["holder"], &head["truncated"]);
    Head {
        format: number(&head["format"]) as u32,
        features: list(&head["features"]).iter().map(text).collect(),
        database_id: text(&head["databaseId"]),
        epoch: number(&head["epoch"]),
        holder: Holder {
            id: text(&holder["id"]),
            title: text(&holder["title"]),
            url: text(&holder["url"]),
            since: moment(&holder["since"]),
        },
        generation: number(&head["generation"]),
        lsn: number(&head["lsn"]),
        epochs: list(&head["epochs"]).iter().map(number).collect(),
        truncated: Truncation { lsn: number(&truncated["lsn"]), logged: number(&truncated["logged"]) },
        encryption: None,
    }
}

fn write_log(record: &LogRecord) -> Value {
    json!({
        "lsn": record.lsn, "part": record.part, "parts": record.parts,
        "kind": if record.kind == LogKind::Epoch { "epoch" } else { "commit" },
        "epoch": record.epoch, "time": record.time.0, "pageSize": record.page_size, "dbPages": record.db_pages,
        "logged": record.logged, "pages": record.pages, "bytes": hex(&record.bytes),
        "checksum": record.checksum.to_string(), "prev": record.prev.to_string(),
    })
}

fn read_log(record: &Value) -> LogRecord {
    LogRecord {
        lsn: number(&record["lsn"]),
        part: number(&record["part"]) as u32,
        parts: number(&record["parts"]) as u32,
        kind: match text(&record["kind"]).as_str() {
            "epoch" => LogKind::Epoch,
            "commit" => LogKind::Commit,
            other => panic!("no kind of record: {other}"),
        },
        epoch: number(&record["epoch"]),
        time: moment(&record["time"]),
        page_size: number(&record["pageSize"]) as u32,
        db_pages: number(&record["dbPages"]) as u32,
        logged: number(&record["logged"]),
        pages: list(&record["pages"]).iter().map(|page| number(page) as u32).collect(),
        bytes: unhex(&record["bytes"]),
        checksum: long(&record["checksum"]),
        prev: long(&record["prev"]),
    }
}

fn write_manifest(manifest: &Manifest) -> Value {
    let chunks = manifest.chunks.iter();
    json!({
        "generation": manifest.generation, "format": manifest.format, "lsn": manifest.lsn,
        "chain": manifest.chain.to_string(), "time": manifest.time.0, "logged": manifest.logged,
        "barrier": manifest.barrier, "createdAt": manifest.created_at.0, "pageSize": manifest.page_size,
        "dbBytes": manifest.db_bytes, "chunkSize": manifest.chunk_size,
        "chunks": chunks.clone().map(|chunk| chunk.id.clone()).collect::<Vec<_>>(),
        "checks": chunks.clone().map(|chunk| chunk.check.to_string()).collect::<Vec<_>>(),
        "stored": chunks.map(|chunk| chunk.stored).collect::<Vec<_>>(),
        "sha256": manifest.sha256, "storedBytes": manifest.stored_bytes,
        "kind": if manifest.kind == ManifestKind::Snapshot { "snapshot" } else { "checkpoint" },
        "reason": manifest.reason, "label": manifest.label, "schemaVersion": manifest.schema_version,
        "compression": manifest.compression, "verified": manifest.verified, "checksum": manifest.checksum.to_string(),
    })
}

fn read_manifest(manifest: &Value) -> Manifest {
    let (checks, stored) = (list(&manifest["checks"]), list(&manifest["stored"]));
    let chunks = list(&manifest["chunks"]).iter().zip(checks).zip(stored);
    Manifest {
        generation: number(&manifest["generation"]),
        format: number(&manifest["format"]) as u32,
        lsn: number(&manifest["lsn"]),
        chain: long(&manifest["chain"]),
        time: moment(&manifest["time"]),
        logged: number(&manifest["logged"]),
        barrier: manifest["barrier"].as_bool().expect("a flag"),
        created_at: moment(&manifest["createdAt"]),
        page_size: number(&manifest["pageSize"]) as u32,
        db_bytes: number(&manifest["dbBytes"]),
        chunk_size: number(&manifest["chunkSize"]) as u32,
        chunks: chunks
            .map(|((id, check), stored)| ChunkRef { id: text(id), check: long(check), stored: number(stored) as u32 })
            .collect(),
        sha256: text(&manifest["sha256"]),
        stored_bytes: number(&manifest["storedBytes"]),
        kind: match text(&manifest["kind"]).as_str() {
            "snapshot" => ManifestKind::Snapshot,
            "checkpoint" => ManifestKind::Checkpoint,
            other => panic!("no kind of manifest: {other}"),
        },
        reason: text(&manifest["reason"]),
        label: manifest["label"].as_str().map(str::to_owned),
        schema_version: manifest["schemaVersion"].as_str().map(str::to_owned),
        compression: text(&manifest["compression"]),
        verified: manifest["verified"].as_bool().expect("a flag"),
        checksum: long(&manifest["checksum"]),
        sealed: None,
    }
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

pub fn moment(value: &Value) -> Timestamp {
    Timestamp(value.as_i64().unwrap_or_else(|| panic!("no time: {value}")))
}

fn long(value: &Value) -> u64 {
    text(value).parse().expect("a checksum")
}

fn unhex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().expect("hex digits");
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).expect("hex digits")).collect()
}
