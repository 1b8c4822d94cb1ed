//! The order of changes: a row waits for the rows that it refers to, a deletion for the rows that referred to it.

use super::job::{Job, JobKind};
use crate::{
    collections::{Map, Set},
    error::Result,
    sqlite::{Connection, ForeignKey},
    sync::{
        schema::{plan::Plan, table::key_condition},
        values::encode::{decode_row, key_parameters, key_sql, quote},
    },
    value::Value,
};

/// A foreign key between two tables of the push.
struct JobReference {
    /// The indexes of the referring columns in a row.
    from: Vec<usize>,
    /// Whether the reference may be NULL for a while.
    nullable: bool,
    parent: usize,
    /// The indexes of the referenced columns in a row of the parent.
    to: Vec<usize>,
    /// Whether deleting the parent changes the row, too.
    cascades: bool,
    /// SQL that returns the parent's encoded key; `?1..` are the referring values.
    find: String,
}

/// The foreign keys between the tables of a push, and the changes that wait because of them.
pub struct Dependencies {
    references: Vec<Vec<JobReference>>,
    names: Vec<String>,
    columns: Vec<Vec<String>>,
    /// Rows that the remote doesn't have and won't get for now: (table, encoded key).
    lacking: Set<(usize, String)>,
    /// Rows that others still refer to remotely: (table, referenced values), and the others' table.
    needed: Map<(usize, String), usize>,
    /// The same, for changes that are sent once more in this push.
    needed_for_now: Map<(usize, String), usize>,
}

impl Dependencies {
    /// Reads the foreign keys between the tables of `plans`, which has parents first.
    pub fn new(plans: &[&Plan]) -> Self {
        let reference = |plan: &Plan, key: &ForeignKey| {
            let parent = plans.iter().position(|plan| plan.table.name.eq_ignore_ascii_case(&key.parent))?;
            let from = plan.places(&key.from)?;
            let to = plans[parent].places(&key.to)?;
            let own_key = key_sql(plans[parent].key_columns().iter().map(|column| quote(column)));
            let find = format!("SELECT {own_key} FROM main.{} WHERE {}", quote(&key.parent), key_condition(&key.to, 1));
            let may_be_null = |at: &usize| {
                !plan.key.contains(at)
                    && plan.table.column(&plan.columns[*at].name).is_some_and(|column| !column.not_null)
            };
            let nullable = from.iter().any(may_be_null);
            Some(JobReference { from, nullable, parent, to, cascades: key.acts_on_delete(), find })
        };
        Self {
            references: plans
                .iter()
                .map(|plan| plan.table.foreign_keys.iter().filter_map(|key| reference(plan, key)).collect())
                .collect(),
            names: plans.iter().map(|plan| plan.name().to_owned()).collect(),
            columns: plans.iter().map(|plan| plan.columns.iter().map(|column| column.name.clone()).collect()).collect(),
            lacking: Set::new(),
            needed: Map::default(),
            needed_for_now: Map::default(),
        }
    }

    /// Starts with changes that were refused before, or that aren't due yet. `now` is in milliseconds since 1970.
    pub fn start(&mut self, connection: &Connection, now: i64) -> Result<()> {
        let rows = connection.rows(
            "SELECT tbl, key, op, CASE WHEN sent_op IS NOT 'deleted' THEN base END FROM tidelock_outbox \
             WHERE state = 'rejected' OR state = 'pending' AND not_before > ?1",
            &[Value::Integer(now)],
        )?;
        for row in rows {
            let (name, key) = (row[0].as_text().unwrap_or_default(), row[1].as_text().unwrap_or_default());
            let Some(table) = self.names.iter().position(|known| known.eq_ignore_ascii_case(name)) else { continue };
            if row[2].as_text() == Some("insert") {
                self.lacking.insert((table, key.to_owned()));
            }
            // The remote's row still exists, whatever the change would do to it.
            if let Some(base) = row[3].as_text() {
                let base = decode_row(base);
                let value = |name| base.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                let base: Vec<_> = self.columns[table].iter().map(value).collect();
                self.keep_parents(table, &base, false);
            }
        }
        Ok(())
    }

    /// Holds back what depends on a job that was refused and is sent once more: until then the remote's row stays as it
    /// is.
    pub fn hold_back_for_now(&mut self, job: &Job) {
        if let Some(base) = &job.base {
            self.keep_parents(job.table, base, true);
        }
    }

    /// Releases what [`Dependencies::hold_back_for_now`] held back, since the refused jobs are sent once more.
    pub fn try_again(&mut self) {
        self.needed_for_now = Map::default();
    }

    /// Holds back what depends on a job that isn't done and won't be soon.
    pub fn hold_back(&mut self, connection: &Connection, job: &Job) -> Result<()> {
        match job.kind {
            JobKind::Insert => {
                let encoded = connection.value(&format!("SELECT {}", key_parameters(job.key.len(), 1)), &job.key)?;
                if let Some(encoded) = encoded.as_ref().and_then(Value::as_text) {
                    self.lacking.insert((job.table, encoded.to_owned()));
                }
            }
            JobKind::Delete | JobKind::Update | JobKind::Read => {
                if let Some(base) = &job.base {
                    self.keep_parents(job.table, base, false);
                }
            }
        }
        Ok(())
    }

    /// Returns the deletions of rows to which rows of other deletions refer: the indexes of both, and the columns that
    /// refer, with an inner `None` when they can't be NULL.
    pub fn between_deletions(&self, jobs: &[&Job]) -> Vec<(usize, usize, Option<Vec<usize>>)> {
        let deleted = |table: usize| {
            let jobs = jobs.iter().enumerate();
            jobs.filter(move |(_, job)| job.kind == JobKind::Delete && job.table == table)
        };
        let values = |job: &Job, places: &[usize]| {
            let value = |at: &usize| job.base.as_ref()?[*at].clone().filter(|value| !value.is_null());
            Some(unique_text(&places.iter().map(value).collect::<Option<Vec<_>>>()?))
        };
        let mut found = Vec::new();
        for (table, references) in self.references.iter().enumerate() {
            for reference in references {
                let parents: Map<String, usize> =
                    deleted(reference.parent).filter_map(|(at, job)| Some((values(job, &reference.to)?, at))).collect();
                for (at, job) in deleted(table) {
                    let parent = values(job, &reference.from).and_then(|values| parents.get(&values));
                    let parent = parent.filter(|parent| **parent != at);
                    found
                        .extend(parent.map(|parent| (*parent, at, reference.nullable.then(|| reference.from.clone()))));
                }
            }
        }
        found
    }

    /// Keeps the rows that a row refers to, since that row stays as it is remotely.
    fn keep_parents(&mut self, table: usize, base: &[Option<Value>], for_now: bool) {
        let needed = if for_now { &mut self.needed_for_now } else { &mut self.needed };
        for reference in &self.references[table] {
            let value = |at: &usize| base.get(*at).cloned().flatten().filter(|value| !value.is_null());
            if let Some(values) = reference.from.iter().map(value).collect::<Option<Vec<Value>>>() {
                needed.insert((reference.parent, unique_text(&values)), table);
            }
        }
    }

    /// Returns the table of an unfinished change that a job has to wait for; `None` when the job may be sent.
    pub fn waits_for(&self, connection: &Connection, job: &Job) -> Result<Option<&str>> {
        if job.kind == JobKind::Delete {
            let any = !(self.needed.is_empty() && self.needed_for_now.is_empty());
            let Some(base) = job.base.as_ref().filter(|_| any) else { return Ok(None) };
            let refers = self.references.iter().flatten().filter(|reference| reference.parent == job.table);
            for reference in refers {
                let values = reference.to.iter().map(|at| base.get(*at).cloned().flatten());
                let Some(values) = values.collect::<Option<Vec<_>>>() else { continue };
                let row = (job.table, unique_text(&values));
                if let Some(table) = self.needed.get(&row).or(self.needed_for_now.get(&row)) {
                    return Ok(Some(&self.names[*table]));
                }
            }
            return Ok(None);
        }
        for reference in &self.references[job.table] {
            if job.row.is_empty() || !self.lacking.iter().any(|(table, _)| *table == reference.parent) {
                continue;
            }
            let sent = |at: &usize| job.columns.contains(at);
            let values: Vec<Value> = reference.from.iter().map(|at| job.row[*at].clone()).collect();
            if values.iter().any(Value::is_null) || !reference.from.iter().any(sent) {
                continue;
            }
            let parent = connection.value(&reference.find, &values)?;
            let encoded = parent.as_ref().and_then(Value::as_text).unwrap_or_default();
            if self.lacking.contains(&(reference.parent, encoded.to_owned())) {
                return Ok(Some(&self.names[reference.parent]));
            }
        }
        Ok(None)
    }

    /// Leaves out references of new rows to rows that come later, in tables that refer to each other in a cycle; they
    /// are sent as updates afterwards.
    pub fn withhold(&self, connection: &Connection, plan: &Plan, job: &mut Job) -> Result<()> {
        for reference in &self.references[job.table] {
            if reference.parent <= job.table || !reference.nullable {
                continue;
            }
            let values: Vec<Value> = reference.from.iter().map(|at| job.row[*at].clone()).collect();
            if values.iter().any(Value::is_null) {
                continue;
            }
            let Some(parent) = connection.value(&reference.find, &values)? else { continue };
            let waiting = connection.value(
                "SELECT 1 FROM tidelock_outbox WHERE tbl = ?1 AND key = ?2 AND op = 'insert' AND state = 'pending'",
                &[Value::from(&*self.names[reference.parent]), parent],
            )?;
            if waiting.is_some() {
                let keep = |at: &usize| !reference.from.contains(at) || plan.key.contains(at);
                job.columns.retain(keep);
            }
        }
        Ok(())
    }

    /// Splits deletions in a table that refers to itself: first those of rows that no other of them refers to, then the
    /// rest. The outcome of a child must be known before its parent is deleted, which deletes the child, too. The rows
    /// of a cycle are deleted together.
    pub fn childless(&self, jobs: Vec<Job>) -> (Vec<Job>, Vec<Job>) {
        let Some(table) = jobs.first().map(|job| job.table) else { return (jobs, Vec::new()) };
        let own: Vec<&JobReference> =
            self.references[table].iter().filter(|reference| reference.parent == table && reference.cascades).collect();
        let values = |job: &Job, at: &[usize]| {
            let base = job.base.as_ref()?;
            let value = |at: &usize| base.get(*at).cloned().flatten().filter(|value| !value.is_null());
            Some(unique_text(&at.iter().map(value).collect::<Option<Vec<_>>>()?))
        };
        let parents = |job: &Job| {
            let parent = |(at, reference): (usize, &&JobReference)| {
                let parent = values(job, &reference.from)?;
                (values(job, &reference.to).as_ref() != Some(&parent)).then_some((at, parent))
            };
            own.iter().enumerate().filter_map(parent).collect::<Vec<_>>()
        };
        let needed: Set<(usize, String)> = jobs.iter().flat_map(parents).collect();
        let is_needed = |job: &Job| {
            let key = |(at, reference): (usize, &&JobReference)| Some((at, values(job, &reference.to)?));
            own.iter().enumerate().filter_map(key).any(|key| needed.contains(&key))
        };
        let (parents, childless): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(is_needed);
        if childless.is_empty() { (parents, childless) } else { (childless, parents) }
    }

    /// Splits new rows of a table that refers to itself into batches: each refers only to earlier ones, or to itself.
    /// The rows of a cycle stay together, without the reference where it may be NULL.
    pub fn levels(&self, plan: &Plan, mut jobs: Vec<Job>) -> Vec<Vec<Job>> {
        let Some(table) = jobs.first().map(|job| job.table) else { return Vec::new() };
        let own: Vec<&JobReference> =
            self.references[table].iter().filter(|reference| reference.parent == table).collect();
        if own.is_empty() {
            return vec![jobs];
        }
        let mut level = vec![0_usize; jobs.len()];
        for reference in own {
            let values =
                |job: &Job, at: &[usize]| unique_text(&at.iter().map(|at| job.row[*at].clone()).collect::<Vec<_>>());
            let index: Map<String, usize> =
                jobs.iter().enumerate().map(|(at, job)| (values(job, &reference.to), at)).collect();
            let parents: Vec<Option<usize>> = jobs
                .iter()
                .enumerate()
                .map(|(at, job)| index.get(&values(job, &reference.from)).copied().filter(|parent| *parent != at))
                .collect();
            for at in 0..jobs.len() {
                let (mut depth, mut up) = (0, parents[at]);
                while let Some(parent) = up {
                    depth += 1;
                    if parent == at || depth > jobs.len() {
                        break;
                    }
                    up = parents[parent];
                }
                if up.is_some() && reference.nullable {
                    jobs[at].columns.retain(|column| !reference.from.contains(column) || plan.key.contains(column));
                } else if up.is_none() {
                    level[at] = level[at].max(depth);
                }
            }
        }
        divided(jobs, &level)
    }
}

/// Divides jobs by their levels, the lowest first.
pub(super) fn divided(jobs: Vec<Job>, levels: &[usize]) -> Vec<Vec<Job>> {
    let mut batches: Vec<Vec<Job>> = Vec::new();
    batches.resize_with(levels.iter().max().map_or(0, |max| max + 1), Vec::new);
    for (job, level) in jobs.into_iter().zip(levels) {
        batches[*level].push(job);
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// Returns a text that is unique for these values.
pub(super) fn unique_text(values: &[Value]) -> String {
    let mut out = String::new();
    for value in values {
        let text = crate::sync::values::outgoing::filter_text(value);
        out.push_str(&text.len().to_string());
        out.push(':');
        out.push_str(&text);
    }
    out
}
