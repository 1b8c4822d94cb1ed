//! The state of a running pull, and how its pages and outcomes are stored.

use crate::{
    error::{Error, Result},
    sqlite::Connection,
    sync::{
        apply::{key_lists::KeyList, staged::ApplyTarget},
        outbox::capture,
        postgrest::response::{is_data_exception, remote_code},
        pull::page::Page,
        report::PullMode,
        schema::plan::Rows,
        state::progress,
    },
    time::Timestamp,
    value::Value,
};

/// The state of a running pull.
pub(super) struct PullRun {
    pub(super) targets: Vec<ApplyTarget>,
    pub(super) mode: PullMode,
    /// All rows by table, in a replace.
    pub(super) gathered: Vec<Vec<Rows>>,
    pub(super) stored_missing: Vec<Vec<String>>,
    /// Whether columns that the remote lacked before are left out, unasked.
    pub(super) left_out: Vec<bool>,
    pub(super) began: Vec<Option<f64>>,
    pub(super) rows: Vec<u64>,
    /// The tables that can't be pulled, while others can, each with its error.
    pub(super) errors: Vec<(String, Error)>,
    /// The first error of a conflict function.
    pub(super) undecided: Option<Error>,
}

impl PullRun {
    /// Notes the errors of tables, by their index.
    pub(super) fn note_table_errors(&mut self, errors: Vec<(usize, Error)>) {
        let named = errors.into_iter().map(|(at, error)| (self.targets[at].plan.name().to_owned(), error));
        self.errors.extend(named);
    }
}

/// Applies a page and its progress in one transaction. Returns whether rows changed.
pub(super) fn merge_page(connection: &Connection, target: &mut ApplyTarget, page: &Page) -> Result<bool> {
    let ApplyTarget { plan, writer, report, .. } = target;
    let mut counted = report.clone();
    writer.unpushed.set_skew(page.skew_ms);
    connection.atomically(|connection| {
        capture::without_capture(connection, |connection| {
            if plan.learn_structured(&page.rows.structured) {
                progress::save_structured(connection, plan.name(), &plan.structured())?;
            }
            let marked = plan.options.soft_delete().is_some();
            if page.lists_keys {
                writer.note_keys(connection, &page.rows, KeyList::Seen, marked)?;
            }
            if !page.rows.keys_only {
                if plan.options.compares() {
                    writer.note_keys(connection, &page.rows, KeyList::Known, marked)?;
                }
                writer.merge(connection, &page.rows, &mut counted)?;
            }
            match &page.progress {
                Some(progress) => progress::save_progress(connection, plan.name(), progress),
                None => Ok(()),
            }
        })
    })?;
    let wrote = (counted.inserted, counted.updated, counted.deleted)
        != (report.inserted, report.updated, report.deleted)
        || counted.conflicts != report.conflicts;
    *report = counted;
    Ok(wrote)
}

/// Stores the outcome of each table of the pull.
pub(super) fn note_outcomes(connection: &Connection, run: &PullRun, now: Timestamp) -> Result<()> {
    let names = run.targets.iter().map(|target| target.plan.name());
    for name in names.filter(|name| run.errors.iter().all(|(table, _)| table != name)) {
        progress::save_pulled(connection, name, now, None)?;
    }
    for (name, error) in &run.errors {
        progress::save_pulled(connection, name, now, Some(error))?;
        // The position may not fit a cursor column whose type has changed there.
        if is_data_exception(remote_code(error)) {
            progress::read_whole_next(connection, &Value::from(name.as_str()))?;
        }
    }
    Ok(())
}
