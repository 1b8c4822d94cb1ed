// What no golden file shows, and why. Take out what is shown by now: the test says so.

/** A defect of tidelock: no act of a user leads there. */
const defect = 'only a defect of tidelock gives it'
/** TypeScript looks at the same before the engine does, and says it in its own words, which are shown. */
const first = 'TypeScript refuses it before the engine is asked'
/** What JavaScript gets instead is shown, or is the user's own. */
const signal = 'the caller gets the reason of its own signal, or that it took too long'
/** A platform that breaks its own rules: no page can bring that about, and no stand-in would prove anything. */
const platform = 'only a platform that does not keep to its own standard gives it'
/** A race with another tab within one step of the browser, that no test hits reliably. */
const race = 'only another tab gives it, between two steps of the browser'
/** What tells the code around it to undo its savepoint: that goes on, and nobody gets it. */
const undoes = 'it only undoes a savepoint, and is caught right there'
/** A limit of memory or of the disk that the tests can't reach at that very place; its code is shown elsewhere. */
const limit = 'only a limit of memory reached right there gives it'
/** The text is made elsewhere, where it is looked for itself or in the golden files. */
const handed = 'the text comes from the caller, from SQLite, from the remote or from the error underneath'

/** By file and template. */
export const unshown = {
  'src/browser/crypto.rs: The encryption key refused its work':
    'the usages of the key are looked at before, at every open and rekey',
  "src/browser/crypto.rs: The platform's cryptography failed": platform,
  'src/browser/crypto.rs: PBKDF2 gave a key of another length': platform,
  'src/browser/idb_raw.rs: This page has no IndexedDB': first,
  'src/browser/idb_write.rs: Such a write needs a fence': defect,
  'src/browser/indexeddb.rs: The database was deleted while it was opened': race,
  "src/browser/indexeddb.rs: The browser's storage doesn't answer":
    'an IndexedDB that is silent for long; deleteDatabase tells the same, and is shown',
  "src/browser/indexeddb.rs: The connection to the browser's storage is closed": race,
  'src/browser/locks.rs: navigator.locks is missing': first,
  'src/browser/locks.rs: A promise gave no resolver': platform,
  "src/engine/snapshots.rs: A manifest just written is no snapshot's": defect,
  'src/engine/sync/refused.rs: Reading a row came to no end': defect,
  'src/lock/acquire.rs: The platform refused a lock for which it was asked to wait': platform,
  "src/migrate/apply.rs: Migration {} failed and couldn't be undone": limit,
  'src/sqlite/connection.rs: The SQL text is too long': limit,
  'src/sqlite/functions/mod.rs: A collation failed': 'the cause that the user reads is what the collation threw',
  'src/sqlite/pragmas.rs: SQLite refused the journal in memory': defect,
  "src/sqlite/vfs.rs: SQLite refused tidelock's file system": defect,
  'src/store/faulty.rs: the simulated disk is full': 'no part of a build for users: the disk of the simulation',
  'src/sync/pull/whole.rs: A page of no span': defect,
  'src/sync/pull.rs: A failed request was taken for a page': defect,
  'src/sync/push.rs: A failed request was taken for an answer': defect,
  'src/sync/staged.rs: Some rows have no parents': undoes,
  "src/sync/swap.rs: The rows don't only exchange their values": undoes,
  'src/wasm/cancels.rs: The call was cancelled': signal,
  'src/wasm/convert.rs: The options have a wrong shape': first,
  'src/wasm/functions.rs: A bigint beyond 64 bits': first,
  'src/wasm/options.rs: The option {} has a wrong shape': first,
  "src/wasm/statements.rs: The script isn't UTF-8": defect,
  'src/wasm/statements.rs: No such kind of statement': defect,
  'pkg-js/src/cli/main.ts: An unexpected error: {}': defect,
  'pkg-js/src/errors.ts: An unexpected error inside tidelock': defect,
  'pkg-js/src/resolve-conflict.ts: Table {} has no conflict function': defect,
  'pkg-js/src/user.ts: Migration {} has no function for {}': defect,
  'pkg-js/src/worker/desk.ts: The database is not open yet': defect,
}

/** Places whose message is a variable, by file and expression. */
export const passedOn = {
  'src/browser/locks.rs: thrown_text(&error)': handed,
  'src/engine/snapshots.rs: first': handed,
  'src/migrate/plan.rs: message': handed,
  'src/sqlite/authority.rs: refusal.message': handed,
  'src/sqlite/failure.rs: message': handed,
  'src/sqlite/functions/column_keys.rs: message': handed,
  'src/store/failure.rs: message': handed,
  'src/store/recovery.rs: first': handed,
  'src/sync/local_schema.rs: text': handed,
  'src/sync/plan.rs: text': handed,
  'src/sync/response.rs: text': handed,
  'src/wasm/callbacks.rs: thrown_text(&error)': handed,
  'src/wasm/functions.rs: thrown_text(&error)': handed,
  'pkg-js/src/cli/command.ts: message': handed,
  'pkg-js/src/column-key.ts: message': handed,
  'pkg-js/src/errors.ts: message': handed,
  'pkg-js/src/file-cipher.ts: message': handed,
  'pkg-js/src/functions.ts: message': handed,
  'pkg-js/src/group.ts: message': handed,
  'pkg-js/src/user.ts: error.message': handed,
}
