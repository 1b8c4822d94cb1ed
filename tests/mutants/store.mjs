// Defects of the storage, planted again: its tests must notice each of them.

const run = 'cargo test --locked --test native'

export const build = `${run} --no-run`
/** In this order, until one fails. */
export const tests = {
  'readable tests': `${run} -- store::`,
  simulation: `${run} -- simulation::acknowledged`,
}

export const mutants = [
  {
    name: 'issue-while-in-flight',
    file: 'src/engine/storage/flush.rs',
    text: '!state.appending && state.issued.is_none()',
    instead: 'state.issued.is_none()',
    breaks: 'a batch issued at the end of a page may be stored although the one before it was not',
  },
  {
    name: 'imported-chunks-are-orphans',
    file: 'src/store/removal.rs',
    text: 'only_in(&deleted, manifests.iter().chain(imported.iter()))',
    instead: 'only_in(&deleted, manifests.iter())',
    breaks: 'deleting a snapshot deletes chunks that an imported one shares with it',
  },
  {
    name: 'sweep-with-an-unreadable-manifest',
    file: 'src/store/removal.rs',
    text: '!self.read_manifests().await?.is_empty()',
    instead: 'self.read_manifests().await.is_err()',
    breaks: 'the chunks of a manifest that can not be read are deleted',
  },
  {
    name: 'recovery-continues-the-chain',
    file: 'src/store/last_good.rs',
    text: '!end.chain',
    instead: 'end.chain',
    breaks: 'the log before a recovery and the log after it count as one history',
  },
  {
    name: 'acknowledge-later-commits',
    file: 'src/engine/storage/flush/run.rs',
    text: 'self.succeeded(commits)',
    instead: 'self.succeeded(self.file.commits())',
    breaks: 'commits made during a flush are acknowledged with it',
  },
  {
    name: 'forget-changes-before-the-manifest',
    file: 'src/store/generations.rs',
    text: 'Ok(staged)',
    instead: '{ inner.stale.borrow_mut().clear(); Ok(staged) }',
    breaks: 'what a failed snapshot should have stored is missing in the next one',
  },
  {
    name: 'no-rotation',
    file: 'src/store/repair.rs',
    text: '(index as u64 + self.0.generation.get()).is_multiple_of(ROTATION)',
    instead: 'false',
    breaks: 'chunks that no snapshot writes again are never read',
  },
  {
    name: 'truncate-unread',
    file: 'src/store/repair.rs',
    text: 'self.repair_chunks(next, &mut |index| !shared(index), source).await?',
    instead: 'true',
    breaks: 'the log is cut at a manifest that rotted meanwhile',
  },
  {
    name: 'no-repair',
    file: 'src/store/repair.rs',
    text: 'chunk::id(&plain) == chunk.id',
    instead: 'false',
    breaks: 'the open database repairs no snapshot',
  },
  {
    name: 'repair-with-other-bytes',
    file: 'src/store/repair.rs',
    text: 'chunk::id(&plain) == chunk.id',
    instead: 'true',
    breaks: 'a chunk of an old snapshot is overwritten by newer contents',
  },
  {
    name: 'recovery-breaks-the-chain-at-once',
    file: 'src/store/last_good.rs',
    text: 'lost && found.state.broken.is_some()',
    instead: 'lost',
    breaks: 'a page that dies in a recovery leaves an intact database refused',
  },
  {
    name: 'first-of-several-states',
    file: 'src/store/history.rs',
    text: 'several.iter().copied().find(|index| Some(states[*index].lsn) == lsn)',
    instead: 'several.first().copied()',
    breaks: 'after the clock was set back, a restore silently takes one of the states that match',
  },
  {
    name: 'schedule-by-the-wall-clock',
    file: 'src/engine/storage/snapshots/scheduler.rs',
    text: 'due.since(inner.now()).min((inner.due_ms.get() - inner.monotonic_ms()).ceil() as i64)',
    instead: 'due.since(inner.now())',
    breaks: 'a clock that is set back stops the scheduled snapshots',
  },
  {
    name: 'no-checkpoint-for-empty-records',
    file: 'src/store/storage.rs',
    text: 'db_bytes > 0 && self.0.end.get().lsn - base_lsn > MOST_RECORDS',
    instead: 'false',
    breaks: 'each opening makes all later ones slower',
  },
  {
    name: 'one-table-takes-all-the-time',
    file: 'src/sqlite/database/salvage.rs',
    text: '(self.left)() / 2.0',
    instead: '0.0',
    breaks: 'a table without an end costs a recovery all tables after it',
  },
  {
    name: 'sweep-the-copies-of-a-rotation',
    file: 'src/store/removal.rs',
    text: 'store.next_stored_id(id)',
    instead: 'None',
    breaks: 'an opening deletes the copies that an interrupted rotation of the key made',
  },
  {
    name: 'change-keys-without-chunks-in-use',
    file: 'src/store/rekey.rs',
    text: 'named.chain(in_use.iter()).collect()',
    instead: 'named.collect()',
    breaks: 'after a change of the key, chunks that only the open database reads are missing',
  },
  {
    name: 'end-a-rotation-with-swept-copies',
    file: 'src/store/rekey.rs',
    text: 'stored.contains(&change.new.stored_id(id))',
    instead: 'true',
    breaks: 'a rotation can not end after a sweep has deleted a copy',
  },
  {
    name: 'trust-stored-copies',
    file: 'src/store/rekey.rs',
    text: 'found.as_ref() != Some(*bytes)',
    instead: 'found.is_none()',
    breaks: 'a copy that rotted before the rotation continues replaces a good chunk',
  },
  {
    name: 'gather-any-log',
    file: 'src/store/rekey.rs',
    text: 'room_for(2 * (self.position().logged - self.truncated().logged))',
    instead: 'Ok(())',
    breaks: 'a change of the key ends the engine when the log does not fit into memory',
  },
  {
    name: 'forget-the-next-key',
    file: 'src/store/sealed/store.rs',
    text: 'Some(wrapper.unwrap(next).await?)',
    instead: 'None',
    breaks: 'an opening loses the next data key',
  },
  {
    name: 'close-without-the-newest-key',
    file: 'src/store/folder/state.rs',
    text: 'self.newest.max(get_key(&mut body))',
    instead: 'self.newest',
    breaks: 'a damaged last commit of a closed folder is missing without an error',
  },
]
