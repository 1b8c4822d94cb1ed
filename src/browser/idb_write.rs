//! A store transaction as IndexedDB requests: guard and requirements first, then its writes.

use wasm_bindgen::JsValue;

use super::{
    idb_raw::{Begun, RawAnswer},
    idb_values::{HEAD, HEAD_COPY, buffer, head, head_bytes, id_of, log_key},
};
use crate::{
    error::{Error, Result},
    ports::{ChunkId, Key, Write},
    store::failure::{lock_lost, missing_chunk},
};

/// The object store of the head.
pub const META: &str = "meta";
/// The object store of the page log.
pub const LOG: &str = "log";
/// The object store of the manifests.
pub const SNAPSHOTS: &str = "snapshots";
/// The object store of the chunks.
pub const CHUNKS: &str = "chunks";

/// Returns the object store of a key.
pub fn store_of(key: &Key) -> &'static str {
    match key {
        Key::Log(_) => LOG,
        Key::Manifest(_) => SNAPSHOTS,
        Key::Chunk(_) => CHUNKS,
    }
}

/// Returns the object store that a write goes to.
pub fn written_store(write: &Write) -> &'static str {
    match write {
        Write::PutHead(..) => META,
        Write::Add(..) | Write::CutLog { .. } => LOG,
        Write::Put(key, _) | Write::Delete(key) => store_of(key),
    }
}

/// Issues the writes.
pub fn issue(begun: &Begun, writes: &[Write]) -> Result<()> {
    for write in writes {
        match write {
            Write::Add(key, bytes) => begun.add(LOG, &log_key(*key), &buffer(bytes))?,
            Write::PutHead(bytes, info) => {
                begun.put(META, &HEAD.into(), &head(bytes, info))?;
                begun.put(META, &HEAD_COPY.into(), &buffer(bytes))?;
            }
            Write::Put(key, bytes) => begun.put(store_of(key), &id_of(key), &buffer(bytes))?,
            Write::Delete(key) => begun.delete(store_of(key), &id_of(key))?,
            Write::CutLog { through, spare } => cut(begun, *through, spare)?,
        }
    }
    Ok(())
}

/// Deletes the log's keys through `through`, except the `spare` ones.
fn cut(begun: &Begun, through: u64, spare: &[u64]) -> Result<()> {
    // [lsn] sorts before [lsn, 0].
    let edge = |lsn: u64| js_sys::Array::of1(&JsValue::from_f64(lsn as f64)).into();
    let mut from = 0;
    for spared in spare.iter().copied().filter(|spared| *spared <= through).chain([through + 1]) {
        if from < spared {
            begun.delete_range(LOG, &edge(from), &edge(spared))?;
        }
        from = spared + 1;
    }
    Ok(())
}

/// Completes a transaction whose first requests are issued: checks their results, issues the writes, waits for the end.
pub async fn finish(
    begun: Begun,
    asked: Option<(Option<Vec<u8>>, RawAnswer)>,
    required: Option<(Vec<ChunkId>, RawAnswer)>,
    writes: Vec<Write>,
) -> Result<()> {
    if let Err(error) = check_and_issue(&begun, asked, required, &writes).await {
        begun.abort();
        let _ = begun.end().await;
        return Err(error);
    }
    begun.commit();
    begun.end().await.map_err(write_error)
}

async fn check_and_issue(
    begun: &Begun,
    asked: Option<(Option<Vec<u8>>, RawAnswer)>,
    required: Option<(Vec<ChunkId>, RawAnswer)>,
    writes: &[Write],
) -> Result<()> {
    if let Some((expected, answer)) = asked
        && head_bytes(&answer.value().await?)? != expected
    {
        return Err(lock_lost());
    }
    if let Some((ids, answer)) = required {
        // Compared in JavaScript: copying thousands of keys into wasm takes longer.
        let there = js_sys::Set::new(&answer.value().await?);
        if let Some(missing) = ids.iter().find(|id| !there.has(&id.to_string().into())) {
            return Err(missing_chunk(missing));
        }
    }
    issue(begun, writes)
}

/// Maps the error of a write: a taken key means that another holder wrote that record.
pub fn write_error(error: Error) -> Error {
    if error.cause.as_ref().is_some_and(|cause| cause.starts_with("ConstraintError")) { lock_lost() } else { error }
}
