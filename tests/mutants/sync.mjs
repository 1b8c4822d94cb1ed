// Defects that the sync once had, put back: its tests must notice each of them.

const run = 'cargo test --locked --test native'

export const build = `${run} --no-run`
/** In this order, until one fails. Single random draws that fail are the first to be reported. */
export const tests = {
  'random draws': `TIDELOCK_DRAWS=2000 ${run} -- sync::random`,
  'readable tests': `${run} -- sync:: --skip sync::random`,
}

export const mutants = [
  {
    name: 'trap-behind-the-last-table',
    file: 'src/sync/pull/key_list.rs',
    text: 'table.listed.set(true)',
    instead: 'self.tables[table.at + 1].listed.set(true)',
    breaks: 'at the end of a list of keys the pull looks at the next table, and there is none behind the last',
  },
  {
    name: 'respelled-keys-are-strangers',
    file: 'src/sync/values/same_key.rs',
    text: 'key(place).iter().map(canonical).collect()',
    instead: 'key(place).iter().map(filter_text).collect()',
    breaks: 'keys that the server spells in its own way are not recognised in its answers',
  },
  {
    name: 'an-answer-for-another-key',
    file: 'src/sync/push/answers.rs',
    text: 'left.push(*job)',
    instead: 'if rows.is_empty() { left.push(*job) } else { found.push((*job, 0)) }',
    breaks: 'the answer for one key overwrites the row of another',
  },
  {
    name: 'push-without-end',
    file: 'src/engine/sync/push_run.rs',
    text: 'self.attempts.get(&job.id).copied().unwrap_or_default() + 1',
    instead: '1',
    breaks: 'a change that keeps meeting something else is sent for ever',
  },
  {
    name: 'writes-into-missing-columns-are-dropped',
    file: 'src/sync/conflict/requeue.rs',
    text: 'self.lacking_values(connection, Some(id), key)?.1',
    instead: 'false',
    breaks: 'what is written into a column that the remote lacks leaves the outbox',
  },
  {
    name: 'columns-named-as-parameters',
    file: 'src/sync/postgrest/query.rs',
    text: 'plain && !reserved',
    instead: 'plain',
    breaks: 'a column called `order` or `on_conflict` is taken for a parameter of PostgREST',
  },
  {
    name: 'one-row-stops-the-rest',
    file: 'src/sync/push/refusals.rs',
    text: '!task.suspect',
    instead: '{ if task.jobs.len() > 1 { return self.hold_or_fail(&task, error, about_one_table); } !task.suspect }',
    breaks: 'a row at which the remote fails stops all that are sent with it',
  },
  {
    name: 'refusals-of-the-project-reject-rows',
    file: 'src/sync/postgrest/response.rs',
    text: `Verdict::Fail(
            error(ErrorCode::SyncServer)
                .hint("The project or a gateway before it refuses the request: check its dashboard; no change is lost"),
        )`,
    instead: 'Verdict::Rejected(error(ErrorCode::SyncServer))',
    breaks: 'a 402, or a 403 without a code of PostgREST, rejects rows permanently',
  },
  {
    name: 'helpers-under-the-wrong-root',
    file: 'src/sync/postgrest/remote.rs',
    text: 'root == self.root_number.get() && !self.try_other_root()',
    instead: 'about == "tidelock_state" || root == self.root_number.get() && !self.try_other_root()',
    breaks: 'behind a bare PostgREST the helpers are asked for under /rest/v1, and never found',
  },
  {
    name: 'the-cursor-is-sent',
    file: 'src/sync/jobs/unsent.rs',
    text: 'plan.key.contains(at) || !row[*at].is_null() && plan.remote_cursor() != Some(*at)',
    instead: 'plan.key.contains(at) || !row[*at].is_null()',
    breaks: 'the clock of a client stamps rows, which other clients then miss',
  },
  {
    name: 'exchanged-values-wait-for-ever',
    file: 'src/sync/push/phases.rs',
    text: '!self.tried_cycles',
    instead: 'false',
    breaks: 'rows that exchange unique values, or are deleted and refer to each other, are refused for ever',
  },
  {
    name: 'own-writes-are-conflicts',
    file: 'src/sync/conflict/resolution.rs',
    text: 'stored_as(self.kinds[at], value, &remote[at])',
    instead: '*value == remote[at]',
    breaks: 'after a lost answer the own row is a conflict where the server rewrites a value',
  },
  {
    name: 'lost-inserts-come-back',
    file: 'src/engine/sync/remote_helpers.rs',
    text: 'helpers.deleted_keys_of(&target.plan, progress, ..)',
    instead: 'None',
    breaks: 'a new row whose answer was lost comes back after another client has deleted it',
  },
  {
    name: 'insert-only-tables-are-read',
    file: 'src/sync/push/write.rs',
    text: 'post(requester, plan, rows, write_only, &format!("{missing}{prefer}"))',
    instead: 'post(requester, plan, rows, false, &format!("{missing}{prefer}"))',
    breaks: 'inserts into a table with INSERT alone ask for what only SELECT allows',
  },
  {
    name: 'an-infinite-cursor-hides-what-comes',
    file: 'src/sync/pull/window.rs',
    text: '!ahead(cursor)',
    instead: 'true',
    breaks: "one row with `updated_at = 'infinity'` blinds all later pulls",
  },
  {
    name: 'every-round-lists-all-keys',
    file: 'src/sync/pull/key_list.rs',
    text: 'self.count(table).await? == *expected',
    instead: 'false',
    breaks: "`deleted: 'compare'` reads all keys though their number is the expected one",
  },
  {
    name: 'one-request-for-each-set-of-columns',
    file: 'src/sync/push/grouping.rs',
    text: 'has_json.then_some(&jobs[*job].columns)',
    instead: 'Some(&jobs[*job].columns)',
    breaks: 'new rows with different NULLs take a request for each set of columns',
  },
  {
    name: 'a-key-that-ignores-case',
    file: 'src/sync/schema/plan.rs',
    text: '&table.loose_key',
    instead: '&None',
    breaks: "a key with NOCASE makes the remote's 'a' and 'A' one row",
  },
  {
    name: 'a-cut-body-is-final',
    file: 'src/sync/postgrest/response.rs',
    text: 'Self::Cut',
    instead: 'Self::Failed(Error::new(ErrorCode::SyncProtocol, "The answer is cut"))',
    breaks: 'an answer that was cut is not asked for again',
  },
  {
    name: 'a-marked-row-stays-in-the-way',
    file: 'src/engine/sync/pending_conflicts.rs',
    text: 'unpushed.note_deleted(connection, entry.id)?',
    instead: '()',
    breaks: 'a row that a function keeps, and that is marked as deleted, is inserted for ever',
  },
  {
    name: 'a-parent-goes-before-its-child-has-left',
    file: 'src/engine/sync/push_run.rs',
    text: 'self.dependencies.hold_back_for_now(job)',
    instead: '()',
    breaks: 'a parent is deleted while its child is still to leave it',
  },
  {
    name: 'the-guard-counts-rows-outside-of-the-filter',
    file: 'src/sync/pull/compare.rs',
    text: '!row[2].is_null()',
    instead: 'false',
    breaks: 'rows that a changed filter leaves out are refused as an empty remote',
  },
  {
    name: 'a-right-number-hides-rows-outside-of-the-filter',
    file: 'src/sync/pull/compare.rs',
    text: '(count(1) == 0).then(|| count(0))',
    instead: 'Some(count(0))',
    breaks:
      'a row that a push wrote outside of the filter stays, where another one that the remote has is missing here',
  },
  {
    name: 'a-changed-filter-reads-on-from-its-cursor',
    file: 'src/sync/state/filter.rs',
    text: '"UPDATE tidelock_tables SET selected = NULL, started = NULL, listed_at = NULL WHERE tbl = ?1"',
    instead: '"UPDATE tidelock_tables SET listed_at = NULL WHERE tbl = ?1"',
    breaks: 'older rows of a new filter are never read',
  },
  {
    name: 'late-writes-of-cancelled-requests',
    file: 'src/sync/conflict/reconcile.rs',
    text: 'self.late(connection, &key, false)?',
    instead: 'Vec::new()',
    breaks: 'an own update that the server executes after a cancelled request counts as that of another client',
  },
  {
    name: 'late-rows-come-back',
    file: 'src/sync/conflict/reconcile.rs',
    text: 'self.late(connection, key, true)?',
    instead: 'Vec::<Sent>::new()',
    breaks: 'a new row that was deleted before the server made it comes back',
  },
]
