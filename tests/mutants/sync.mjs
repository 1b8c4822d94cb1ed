// Defects that the sync once had, put back: its tests must notice each of them.

export const build = 'cargo test --locked --quiet --lib --test native --no-run'
/** The rules' own tests, the readable ones, and random configurations and histories. */
export const test = 'cargo test --locked --lib --test native --no-fail-fast -- sync'

export const mutants = [
  {
    name: 'trap-behind-the-last-table',
    file: 'src/sync/pull.rs',
    text: `            let Some(last) = read.rows.last.clone() else { return Ok(()) };
            way.moves(None, &last.key)?;
            span =`,
    instead: `            let Some(last) = read.rows.last.clone() else {
                self.tables[table.at + 1].listed.get();
                return Ok(());
            };
            way.moves(None, &last.key)?;
            span =`,
    breaks: 'at the end of a list of keys the pull looks at the next table, and there is none behind the last',
  },
  {
    name: 'respelled-keys-are-strangers',
    file: 'src/sync/same_key.rs',
    text: 'for same in grouped(&rest, |place| key(place).iter().map(canonical).collect()) {',
    instead: 'for same in grouped(&rest, |place| key(place).iter().map(filter_text).collect()) {',
    breaks: 'keys that the server spells in its own way are not recognised in its answers',
  },
  {
    name: 'an-answer-for-another-key',
    file: 'src/sync/same_key.rs',
    text: '        if let [(Side::Sent, at), (Side::Answered, row)] = same[..] {',
    instead: '        if let [(Side::Sent, at), .., (Side::Answered, row)] = same[..] {',
    breaks: 'of keys that may be the same one gets the row of another',
  },
  {
    name: 'push-without-end',
    file: 'src/engine/sync/push.rs',
    text: '            if tried < TRIES {',
    instead: '            if tried < u32::MAX {',
    breaks: 'a change that keeps meeting something else is sent for ever',
  },
  {
    name: 'writes-into-missing-columns-are-dropped',
    file: 'src/sync/unpushed.rs',
    text: '        if !self.lacking(connection, Some(id), key)?.1 {',
    instead: '        if !self.lacking(connection, Some(id), key)?.1 || !self.lacking.is_empty() {',
    breaks: 'what is written into a column that the remote lacks leaves the outbox',
  },
  {
    name: 'columns-named-as-parameters',
    file: 'src/sync/query.rs',
    text: 'if plain && !reserved { column.to_owned() }',
    instead: 'if plain || reserved { column.to_owned() }',
    breaks: 'a column called `order` or `on_conflict` is taken for a parameter of PostgREST',
  },
  {
    name: 'one-row-stops-the-rest',
    file: 'src/sync/push/refusals.rs',
    text: '        if !task.suspect {',
    instead:
      '        if task.jobs.len() > 1 {\n            return self.hold_or_fail(&task, error, about_one_table);\n        }\n        if !task.suspect {',
    breaks: 'a row at which the remote fails stops all that are sent with it',
  },
  {
    name: 'refusals-of-the-project-reject-rows',
    file: 'src/sync/response.rs',
    text: '            Verdict::Fail(error(ErrorCode::SyncServer).hint(\n                "It is the project',
    instead: '            Verdict::Rejected(error(ErrorCode::SyncServer).hint(\n                "It is the project',
    breaks: 'a 402 or a 403 without a code of PostgREST rejects rows for good',
  },
  {
    name: 'helpers-under-the-wrong-root',
    file: 'src/sync/remote.rs',
    text: 'if root == self.root_number.get() && !self.try_other_root() {',
    instead: 'if about == "tidelock_state" || root == self.root_number.get() && !self.try_other_root() {',
    breaks: 'behind a bare PostgREST the helpers are asked for under /rest/v1, and never found',
  },
  {
    name: 'the-cursor-is-sent',
    file: 'src/sync/unsent.rs',
    text: '            let own = |at: &usize| plan.remote_cursor() != Some(*at);',
    instead: '            let own = |_: &usize| true;',
    breaks: 'the clock of a client stamps rows, which other clients then miss',
  },
  {
    name: 'exchanged-values-wait-for-ever',
    file: 'src/engine/sync/push.rs',
    text: '            if run.moved == before {',
    instead: '            if run.moved == before && run.newest < 0 {',
    breaks: 'rows that exchange unique values, or are deleted and refer to each other, are refused for ever',
  },
  {
    name: 'own-writes-are-conflicts',
    file: 'src/sync/conflict.rs',
    text: '            !matters || stored_as(self.kinds[at], value, &remote[at])',
    instead: '            !matters || *value == remote[at]',
    breaks: 'after a lost answer the own row is a conflict where the server rewrites a value',
  },
  {
    name: 'lost-inserts-come-back',
    file: 'src/engine/sync/push.rs',
    text: '        if run.helped {\n            self.set_aside_gone',
    instead: '        if run.helped && run.newest < 0 {\n            self.set_aside_gone',
    breaks: 'a new row whose answer was lost comes back after another client has deleted it',
  },
  {
    name: 'insert-only-tables-are-read',
    file: 'src/sync/write.rs',
    text: '    post(requester, plan, rows, blind, &format!("{missing}{prefer}"))',
    instead: '    post(requester, plan, rows, false, &format!("{missing}{prefer}"))',
    breaks: 'inserts into a table with INSERT alone ask for what only SELECT allows',
  },
  {
    name: 'an-infinite-cursor-hides-what-comes',
    file: 'src/sync/window.rs',
    text: '    if last.cursor.as_deref().is_some_and(|cursor| !ahead(cursor)) {',
    instead: '    if last.cursor.as_deref().is_some_and(|cursor| !ahead(cursor) || cursor == "infinity") {',
    breaks: "one row with `updated_at = 'infinity'` blinds all later pulls",
  },
  {
    name: 'every-round-lists-all-keys',
    file: 'src/sync/pull.rs',
    text: 'if expected.is_some() && self.count(table).await? == *expected {',
    instead: 'if expected.is_some() && self.count(table).await?.is_none() {',
    breaks: "`deleted: 'compare'` reads all keys though their number is the expected one",
  },
  {
    name: 'one-request-for-each-set-of-columns',
    file: 'src/sync/bulk.rs',
    text: 'let sort = |(repeat, job): &(usize, usize)| (*repeat, has_json.then_some(&jobs[*job].columns));',
    instead:
      'let sort = |(repeat, job): &(usize, usize)| (*repeat, (has_json || *job < jobs.len()).then_some(&jobs[*job].columns));',
    breaks: 'new rows with different NULLs take a request for each set of columns',
  },
  {
    name: 'a-key-that-ignores-case',
    file: 'src/sync/plan.rs',
    text: '        if let Some(column) = &table.loose_key {',
    instead: '        if let Some(column) = table.loose_key.as_ref().filter(|column| column.is_empty()) {',
    breaks: "a key with NOCASE makes the remote's 'a' and 'A' one row",
  },
  {
    name: 'a-cut-body-is-final',
    file: 'src/sync/remote.rs',
    text: '                    if tries.used >= tries.most {\n                        let text',
    instead: '                    if tries.used <= tries.most {\n                        let text',
    breaks: 'an answer that was cut is not asked for again',
  },
]
