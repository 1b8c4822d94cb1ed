//! The records of the object stores as JavaScript values: plain objects with camelCase names.
//!
//! Numbers are numbers, checksums bigints, bytes ArrayBuffers of their own (never views over wasm memory), lists of
//! numbers typed arrays. Reading gives `None` for anything that is not exactly such a record.

use js_sys::{Array, ArrayBuffer, BigUint64Array, Object, Reflect, Uint8Array, Uint32Array};
use wasm_bindgen::{JsCast, JsValue};

use super::{object, property};
use crate::{
    ports::{ChunkRef, Encryption, Head, Holder, LogKind, LogRecord, Manifest, ManifestKind, Truncation},
    time::Timestamp,
};

/// A number; integers are exact up to 2^53, which no count here reaches.
fn number(value: u64) -> JsValue {
    JsValue::from_f64(value as f64)
}

fn moment(time: Timestamp) -> JsValue {
    JsValue::from_f64(time.0 as f64)
}

fn optional(text: Option<&String>) -> JsValue {
    text.map_or(JsValue::NULL, |text| JsValue::from_str(text))
}

fn get_f64(record: &JsValue, name: &str) -> Option<f64> {
    property(record, name)?.as_f64()
}

fn get(record: &JsValue, name: &str) -> Option<u64> {
    let value = get_f64(record, name)?;
    ((0.0..=9_007_199_254_740_992.0).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

fn get_u32(record: &JsValue, name: &str) -> Option<u32> {
    get(record, name)?.try_into().ok()
}

fn get_moment(record: &JsValue, name: &str) -> Option<Timestamp> {
    get_f64(record, name).map(|ms| Timestamp(ms as i64))
}

fn get_text(record: &JsValue, name: &str) -> Option<String> {
    property(record, name)?.as_string()
}

fn get_flag(record: &JsValue, name: &str) -> Option<bool> {
    property(record, name)?.as_bool()
}

fn get_bigint(record: &JsValue, name: &str) -> Option<u64> {
    property(record, name)?.try_into().ok()
}

fn get_cast<T: JsCast>(record: &JsValue, name: &str) -> Option<T> {
    property(record, name)?.dyn_into().ok()
}

fn get_kind<T: Copy>(record: &JsValue, name: &str, kinds: &[(T, &str)]) -> Option<T> {
    let text = get_text(record, name)?;
    kinds.iter().find(|(_, known)| *known == text).map(|(kind, _)| *kind)
}

fn kind_text<T: PartialEq>(kind: T, kinds: &[(T, &'static str)]) -> JsValue {
    kinds.iter().find(|(known, _)| *known == kind).map_or(JsValue::NULL, |(_, text)| JsValue::from_str(text))
}

const LOG_KINDS: &[(LogKind, &str)] = &[(LogKind::Epoch, "epoch"), (LogKind::Commit, "commit")];
const MANIFEST_KINDS: &[(ManifestKind, &str)] = &[
    (ManifestKind::Checkpoint, "checkpoint"),
    (ManifestKind::Snapshot, "snapshot"),
    (ManifestKind::Imported, "imported"),
];

/// Bytes as an ArrayBuffer of their own.
pub fn buffer(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).buffer().into()
}

/// The bytes of an ArrayBuffer; `None` for anything else.
pub fn bytes(value: &JsValue) -> Option<Vec<u8>> {
    value.dyn_ref::<ArrayBuffer>().map(|buffer| Uint8Array::new(buffer).to_vec())
}

/// A key of the log.
pub fn log_key(lsn: u64, part: u32) -> JsValue {
    Array::of2(&number(lsn), &part.into()).into()
}

/// The lsn and part of a key of the log.
pub fn read_log_key(key: &JsValue) -> Option<(u64, u32)> {
    let key: &Array = key.dyn_ref()?;
    Some((key.get(0).as_f64()? as u64, key.get(1).as_f64()? as u32))
}

/// `meta['head']`.
pub fn head(head: &Head) -> Object {
    let holder = object(&[
        ("id", (&head.holder.id).into()),
        ("title", (&head.holder.title).into()),
        ("url", (&head.holder.url).into()),
        ("since", moment(head.holder.since)),
    ]);
    let features: Array = head.features.iter().map(JsValue::from).collect();
    let epochs: Array = head.epochs.iter().copied().map(number).collect();
    object(&[
        ("format", head.format.into()),
        ("features", features.into()),
        ("databaseId", (&head.database_id).into()),
        ("epoch", number(head.epoch)),
        ("holder", holder.into()),
        ("generation", number(head.generation)),
        ("lsn", number(head.lsn)),
        ("epochs", epochs.into()),
        ("truncated", truncation(head.truncated)),
        ("encryption", head.encryption.as_deref().map_or(JsValue::NULL, encryption)),
    ])
}

fn encryption(encryption: &Encryption) -> JsValue {
    object(&[
        ("method", (&encryption.method).into()),
        ("iterations", encryption.iterations.into()),
        ("salt", (&encryption.salt).into()),
        ("wrapped", (&encryption.wrapped).into()),
        ("mac", (&encryption.mac).into()),
    ])
    .into()
}

fn read_encryption(record: &JsValue) -> Option<Encryption> {
    Some(Encryption {
        method: get_text(record, "method")?,
        iterations: get_u32(record, "iterations")?,
        salt: get_text(record, "salt")?,
        wrapped: get_text(record, "wrapped")?,
        mac: get_text(record, "mac")?,
    })
}

fn truncation(truncated: Truncation) -> JsValue {
    object(&[("lsn", number(truncated.lsn)), ("logged", number(truncated.logged))]).into()
}

/// Notes in a stored head where the log begins.
pub fn set_truncated(head: &JsValue, truncated: Truncation) {
    let _ = Reflect::set(head, &"truncated".into(), &truncation(truncated));
}

/// Makes a stored head another one.
pub fn set_head(stored: &JsValue, new: &Head) {
    if let Some(stored) = stored.dyn_ref() {
        Object::assign(stored, &head(new));
    }
}

/// Notes in a stored head that this generation was used.
pub fn set_generation(head: &JsValue, generation: u64) {
    if get(head, "generation").is_none_or(|highest| highest < generation) {
        let _ = Reflect::set(head, &"generation".into(), &number(generation));
    }
}

/// Reads [`head`].
pub fn read_head(record: &JsValue) -> Option<Head> {
    let holder = property(record, "holder")?;
    let truncated = property(record, "truncated")?;
    let features: Array = get_cast(record, "features")?;
    let epochs: Array = get_cast(record, "epochs")?;
    Some(Head {
        format: get_u32(record, "format")?,
        features: features.iter().map(|feature| feature.as_string()).collect::<Option<_>>()?,
        database_id: get_text(record, "databaseId")?,
        epoch: get(record, "epoch")?,
        holder: Holder {
            id: get_text(&holder, "id")?,
            title: get_text(&holder, "title")?,
            url: get_text(&holder, "url")?,
            since: get_moment(&holder, "since")?,
        },
        generation: get(record, "generation")?,
        lsn: get(record, "lsn")?,
        epochs: epochs.iter().map(|lsn| Some(lsn.as_f64()? as u64)).collect::<Option<_>>()?,
        truncated: Truncation { lsn: get(&truncated, "lsn")?, logged: get(&truncated, "logged")? },
        encryption: match property(record, "encryption") {
            Some(encryption) => Some(Box::new(read_encryption(&encryption)?)),
            None => None,
        },
    })
}

/// A record of the log.
pub fn log_record(record: &LogRecord) -> Object {
    object(&[
        ("lsn", number(record.lsn)),
        ("part", record.part.into()),
        ("parts", record.parts.into()),
        ("kind", kind_text(record.kind, LOG_KINDS)),
        ("epoch", number(record.epoch)),
        ("time", moment(record.time)),
        ("pageSize", record.page_size.into()),
        ("dbPages", record.db_pages.into()),
        ("logged", number(record.logged)),
        ("pages", Uint32Array::from(record.pages.as_slice()).into()),
        ("bytes", buffer(&record.bytes)),
        ("checksum", record.checksum.into()),
        ("prev", record.prev.into()),
    ])
}

/// Reads [`log_record`].
pub fn read_log_record(record: &JsValue) -> Option<LogRecord> {
    Some(LogRecord {
        lsn: get(record, "lsn")?,
        part: get_u32(record, "part")?,
        parts: get_u32(record, "parts")?,
        kind: get_kind(record, "kind", LOG_KINDS)?,
        epoch: get(record, "epoch")?,
        time: get_moment(record, "time")?,
        page_size: get_u32(record, "pageSize")?,
        db_pages: get_u32(record, "dbPages")?,
        logged: get(record, "logged")?,
        pages: get_cast::<Uint32Array>(record, "pages")?.to_vec(),
        bytes: bytes(&property(record, "bytes")?)?,
        checksum: get_bigint(record, "checksum")?,
        prev: get_bigint(record, "prev")?,
    })
}

/// A record of `snapshots`.
pub fn manifest(manifest: &Manifest) -> Object {
    if let Some(sealed) = &manifest.sealed {
        return object(&[("generation", number(manifest.generation)), ("sealed", buffer(sealed))]);
    }
    let ids: Array = manifest.chunks.iter().map(|chunk| JsValue::from_str(&chunk.id)).collect();
    let checks: Vec<u64> = manifest.chunks.iter().map(|chunk| chunk.check).collect();
    let stored: Vec<u32> = manifest.chunks.iter().map(|chunk| chunk.stored).collect();
    object(&[
        ("generation", number(manifest.generation)),
        ("format", manifest.format.into()),
        ("lsn", number(manifest.lsn)),
        ("chain", manifest.chain.into()),
        ("time", moment(manifest.time)),
        ("logged", number(manifest.logged)),
        ("barrier", manifest.barrier.into()),
        ("createdAt", moment(manifest.created_at)),
        ("pageSize", manifest.page_size.into()),
        ("dbBytes", number(manifest.db_bytes)),
        ("chunkSize", manifest.chunk_size.into()),
        ("chunks", ids.into()),
        ("checks", BigUint64Array::from(checks.as_slice()).into()),
        ("stored", Uint32Array::from(stored.as_slice()).into()),
        ("sha256", (&manifest.sha256).into()),
        ("storedBytes", number(manifest.stored_bytes)),
        ("kind", kind_text(manifest.kind, MANIFEST_KINDS)),
        ("reason", (&manifest.reason).into()),
        ("label", optional(manifest.label.as_ref())),
        ("schemaVersion", optional(manifest.schema_version.as_ref())),
        ("compression", (&manifest.compression).into()),
        ("verified", manifest.verified.into()),
        ("checksum", manifest.checksum.into()),
    ])
}

/// Reads [`manifest`].
pub fn read_manifest(record: &JsValue) -> Option<Manifest> {
    if let Some(sealed) = property(record, "sealed") {
        let (generation, sealed) = (get(record, "generation")?, Some(bytes(&sealed)?.into()));
        return Some(Manifest { generation, sealed, ..Manifest::default() });
    }
    let ids: Array = get_cast(record, "chunks")?;
    let checks = get_cast::<BigUint64Array>(record, "checks")?.to_vec();
    let stored = get_cast::<Uint32Array>(record, "stored")?.to_vec();
    if checks.len() != ids.length() as usize || stored.len() != checks.len() {
        return None;
    }
    let chunk = |((id, check), stored): ((JsValue, u64), u32)| Some(ChunkRef { id: id.as_string()?, check, stored });
    Some(Manifest {
        generation: get(record, "generation")?,
        format: get_u32(record, "format")?,
        lsn: get(record, "lsn")?,
        chain: get_bigint(record, "chain")?,
        time: get_moment(record, "time")?,
        logged: get(record, "logged")?,
        barrier: get_flag(record, "barrier")?,
        created_at: get_moment(record, "createdAt")?,
        page_size: get_u32(record, "pageSize")?,
        db_bytes: get(record, "dbBytes")?,
        chunk_size: get_u32(record, "chunkSize")?,
        chunks: ids.iter().zip(checks).zip(stored).map(chunk).collect::<Option<_>>()?,
        sha256: get_text(record, "sha256")?,
        stored_bytes: get(record, "storedBytes")?,
        kind: get_kind(record, "kind", MANIFEST_KINDS)?,
        reason: get_text(record, "reason")?,
        label: get_text(record, "label"),
        schema_version: get_text(record, "schemaVersion"),
        compression: get_text(record, "compression")?,
        verified: get_flag(record, "verified")?,
        checksum: get_bigint(record, "checksum")?,
        sealed: None,
    })
}
