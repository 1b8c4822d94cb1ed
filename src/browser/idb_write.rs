//! How a transaction of the store becomes IndexedDB requests: fence and requirements first, then its writes.

use wasm_bindgen::JsValue;

use super::{
    idb_raw::{Answer, Begun},
    idb_records as records,
};
use crate::{
    error::{Error, Result},
    ports::{ChunkId, Fence, Head, Truncation, Write},
    store::failure::{check_fence, lock_lost, missing_chunk},
};

/// The object store of the head.
pub const META: &str = "meta";
/// The object store of the page log.
pub const LOG: &str = "log";
/// The object store of the manifests.
pub const SNAPSHOTS: &str = "snapshots";
/// The object store of the chunks.
pub const CHUNKS: &str = "chunks";
/// The key of the head in [`META`].
pub const HEAD: &str = "head";

/// The object store that a write goes to.
pub fn store_of(write: &Write) -> &'static str {
    match write {
        Write::AddLog(_) | Write::PutLog(_) | Write::TruncateLog(_) => LOG,
        Write::PutChunk(..) | Write::DeleteChunk(_) => CHUNKS,
        Write::PutManifest(_) | Write::DeleteManifest(_) => SNAPSHOTS,
        Write::PutHead(_) => META,
    }
}

/// The head as it is stored, and what the fence needs of it.
pub struct StoredHead {
    value: JsValue,
    head: Option<Head>,
}

/// Issues the writes. `head` is the stored head, where the transaction is fenced.
pub fn issue(begun: &Begun, writes: &[Write], head: Option<&StoredHead>) -> Result<()> {
    let mut changed = false;
    for write in writes {
        match write {
            Write::AddLog(record) => {
                begun.add(LOG, &records::log_key(record.lsn, record.part), &records::log_record(record))?;
            }
            Write::TruncateLog(to) => {
                let stored = fenced_head(head)?;
                truncate(begun, *to, stored.head.as_ref().map_or(&[], |head| &head.epochs))?;
                records::set_truncated(&stored.value, *to);
                changed = true;
            }
            Write::PutChunk(id, bytes) => begun.put(CHUNKS, &id.into(), &records::buffer(bytes))?,
            Write::DeleteChunk(id) => begun.delete(CHUNKS, &id.into())?,
            Write::PutManifest(manifest) => {
                let stored = fenced_head(head)?;
                records::set_generation(&stored.value, manifest.generation);
                changed = true;
                let key = JsValue::from_f64(manifest.generation as f64);
                begun.put(SNAPSHOTS, &key, &records::manifest(manifest))?;
            }
            Write::DeleteManifest(generation) => {
                begun.delete(SNAPSHOTS, &JsValue::from_f64(*generation as f64))?;
            }
            Write::PutLog(record) => {
                begun.put(LOG, &records::log_key(record.lsn, record.part), &records::log_record(record))?;
            }
            Write::PutHead(head_record) => {
                records::set_head(&fenced_head(head)?.value, head_record);
                changed = true;
            }
        }
    }
    if let (true, Some(stored)) = (changed, head) {
        begun.put(META, &HEAD.into(), &stored.value)?;
    }
    Ok(())
}

fn fenced_head(head: Option<&StoredHead>) -> Result<&StoredHead> {
    head.ok_or_else(|| Error::internal("Such a write needs a fence"))
}

/// Deletes the keys between the epoch records.
fn truncate(begun: &Begun, to: Truncation, epochs: &[u64]) -> Result<()> {
    // [lsn] sorts before [lsn, 0].
    let edge = |lsn: u64| js_sys::Array::of1(&JsValue::from_f64(lsn as f64)).into();
    let mut from = 0;
    for epoch in epochs.iter().copied().filter(|epoch| *epoch <= to.lsn).chain([to.lsn + 1]) {
        if from < epoch {
            begun.delete_range(LOG, &edge(from), &edge(epoch))?;
        }
        from = epoch + 1;
    }
    Ok(())
}

/// The rest of a transaction whose first requests are issued: what must be known before its writes, and its end.
pub async fn finish(
    begun: Begun,
    asked: Option<(Fence, Answer)>,
    required: Option<(Vec<ChunkId>, Answer)>,
    writes: Vec<Write>,
) -> Result<()> {
    if let Err(error) = check_and_issue(&begun, asked, required, &writes).await {
        begun.abort();
        let _ = begun.end().await;
        return Err(error);
    }
    begun.commit();
    begun.end().await.map_err(of_write)
}

async fn check_and_issue(
    begun: &Begun,
    asked: Option<(Fence, Answer)>,
    required: Option<(Vec<ChunkId>, Answer)>,
    writes: &[Write],
) -> Result<()> {
    let mut stored = None;
    if let Some((fence, answer)) = asked {
        let value = answer.value().await?;
        let head = records::read_head(&value);
        check_fence(head.as_ref(), &fence)?;
        stored = Some(StoredHead { value, head });
    }
    if let Some((ids, answer)) = required {
        // On JavaScript's side: to bring thousands of keys over here would take longer.
        let there = js_sys::Set::new(&answer.value().await?);
        if let Some(missing) = ids.iter().find(|id| !there.has(&id.as_str().into())) {
            return Err(missing_chunk(missing));
        }
    }
    issue(begun, writes, stored.as_ref())
}

/// A taken key is somebody else's record.
pub fn of_write(error: Error) -> Error {
    if error.cause.as_ref().is_some_and(|cause| cause.starts_with("ConstraintError")) { lock_lost() } else { error }
}
