//! Options, read from plain objects by own code: serde's code for this many fields is several times as large, and every
//! page loads it.

use wasm_bindgen::prelude::*;

use crate::{
    browser::property,
    engine::{
        DurabilityMode, HolderOptions, ImportOptions, IntegerMode, Mode, OpenOptions, StorageKind,
        migrations::options::{Atomic, RunOptions},
    },
    error::{Error, Result},
    lock::OnBusy,
    migrate::{MigrationSource, OutOfOrder},
    snapshot::{SnapshotOptions, VerifyMode},
};

/// Reads the object `CoreOptions`. Fails with `invalid_argument` for a wrong shape.
pub fn read(options: &JsValue) -> Result<OpenOptions> {
    let fields = Fields(options);
    Ok(OpenOptions {
        name: fields.text("name")?,
        storage: [StorageKind::Indexeddb, StorageKind::Opfs, StorageKind::File, StorageKind::Memory]
            [fields.choice("storage", &["indexeddb", "opfs", "file", "memory"])?],
        durability: [
            DurabilityMode::Strict,
            DurabilityMode::Relaxed,
            DurabilityMode::Deferred,
            DurabilityMode::Snapshot,
        ][fields.choice("durability", &["strict", "relaxed", "deferred", "snapshot"])?],
        integers: [IntegerMode::Auto, IntegerMode::Bigint, IntegerMode::Number]
            [fields.choice("integers", &["auto", "bigint", "number"])?],
        max_bytes: fields.any_number("maxBytes").map(|bytes| bytes as u64),
        cache_bytes: fields.any_number("cacheBytes").map(|bytes| bytes as u64),
        on_busy: [OnBusy::Fail, OnBusy::Wait, OnBusy::Takeover, OnBusy::Steal]
            [fields.choice("onBusy", &["fail", "wait", "takeover", "steal"])?],
        lock_timeout_ms: fields.number("lockTimeoutMs")? as u64,
        holder: {
            let holder = fields.value("holder")?;
            let fields = Fields(&holder);
            HolderOptions { title: fields.text("title")?, url: fields.text("url")? }
        },
        migrate: fields.is("migrate"),
        out_of_order: [OutOfOrder::Error, OutOfOrder::Apply][fields.choice("outOfOrder", &["error", "apply"])?],
        baseline: fields.any_text("baseline"),
        migrations_table: fields.text("migrationsTable")?,
        migrations: match property(options, "migrations") {
            Some(list) => Some(js_sys::Array::from(&list).iter().map(|each| migration(&each)).collect::<Result<_>>()?),
            None => None,
        },
        snapshots: snapshots(&fields.value("snapshots")?)?,
        mode: [Mode::Local, Mode::Cloud][fields.choice("mode", &["local", "cloud"])?],
        remote: None,
    })
}

fn migration(source: &JsValue) -> Result<MigrationSource> {
    let fields = Fields(source);
    Ok(MigrationSource {
        version: fields.text("version")?,
        name: fields.text("name")?,
        up: fields.any_text("up"),
        down: fields.any_text("down"),
        checksum: fields.any_text("checksum"),
        transaction: Some(fields.is("transaction")),
        up_is_function: fields.is("upIsFunction"),
        down_is_function: fields.is("downIsFunction"),
    })
}

fn snapshots(options: &JsValue) -> Result<SnapshotOptions> {
    let fields = Fields(options);
    Ok(SnapshotOptions {
        enabled: fields.is("enabled"),
        interval_ms: fields.number("intervalMs")? as u64,
        timed_by_user: fields.is("timedByUser"),
        keep: fields.number("keep")? as usize,
        retention_days: fields.any_number("retentionDays"),
        retries: fields.number("retries")? as u32,
        backoff_ms: fields.number("backoffMs")? as u64,
        compress: fields.is("compress"),
        verify: [VerifyMode::Quick, VerifyMode::Full, VerifyMode::None]
            [fields.choice("verify", &["quick", "full", "none"])?],
        on_hidden: fields.is("onHidden"),
        log_retention_ms: fields.number("logRetentionMs")? as u64,
        log_max_bytes: fields.any_number("logMaxBytes").map(|bytes| bytes as u64),
    })
}

/// Reads the options of migrating: `{ to?, steps?, dryRun?, atomic? }`.
pub fn run(options: &JsValue) -> RunOptions {
    let fields = Fields(options);
    RunOptions {
        to: fields.any_text("to"),
        steps: fields.any_number("steps").map(|steps| steps as u32),
        dry_run: fields.is("dryRun"),
        atomic: if fields.any_text("atomic").as_deref() == Some("all") { Atomic::All } else { Atomic::Each },
        timeout_ms: fields.any_number("timeoutMs").map(|ms| ms as u32),
    }
}

/// Reads the options of an import: `{ baseline?, force?, timeoutMs? }`.
pub fn import(options: &JsValue) -> ImportOptions {
    let fields = Fields(options);
    ImportOptions {
        baseline: fields.any_text("baseline"),
        force: fields.is("force"),
        timeout_ms: fields.any_number("timeoutMs"),
    }
}

/// Reads the properties of an object.
pub struct Fields<'a>(pub &'a JsValue);

impl Fields<'_> {
    fn value(&self, name: &str) -> Result<JsValue> {
        property(self.0, name).ok_or_else(|| wrong(name))
    }

    fn text(&self, name: &str) -> Result<String> {
        self.any_text(name).ok_or_else(|| wrong(name))
    }

    /// Returns a text property, if there is one.
    pub fn any_text(&self, name: &str) -> Option<String> {
        property(self.0, name)?.as_string()
    }

    fn number(&self, name: &str) -> Result<f64> {
        self.any_number(name).ok_or_else(|| wrong(name))
    }

    /// Returns a number property, if there is one.
    pub fn any_number(&self, name: &str) -> Option<f64> {
        property(self.0, name)?.as_f64()
    }

    /// Returns whether a property is truthy.
    pub fn is(&self, name: &str) -> bool {
        property(self.0, name).is_some_and(|value| value.is_truthy())
    }

    /// Returns the `newCancel` id that cancels the call, or 0.
    pub fn cancel(&self) -> u32 {
        self.any_number("cancel").unwrap_or(0.0) as u32
    }

    /// Returns the index of a text property's value in `names`.
    fn choice(&self, name: &str, names: &[&str]) -> Result<usize> {
        let text = self.text(name)?;
        names.iter().position(|known| *known == text).ok_or_else(|| wrong(name))
    }
}

#[cold]
fn wrong(name: &str) -> Error {
    Error::invalid(format!("The option {name} has a wrong shape"))
        .hint("Its type is in OpenOptions")
        .detail("option", name)
}
