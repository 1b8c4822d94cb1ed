import { checkPath } from './errors.js'
import { schemaTimeoutMs } from './local-database.js'
import { type ErrorCode, TidelockError } from './package.js'

// The hints of the package are for programs: they name its calls and options. These are for the command line.

/** Words of hints that say what a program or a page can do. */
const forPrograms =
  /\w\(|`|\b(?:db|tx|details|remote|migrations|snapshots|sync|sql|lock)\.\w|\w: [[{'\w]+[\]}']|\b(?:open|option|options)\b|[a-z][A-Z]|\b(?:page|tab|tabs|browser|app)\b/

/** Calls and options of the package, and what stands for them on the command line. */
const commandsOf: readonly (readonly [RegExp, string])[] = [
  [/\bsnapshots\.list\(\)/g, 'npx tidelock snapshot list'],
  [/\bmigrations\.status\(\)/g, 'npx tidelock migrate status'],
  [/\bpull with allowEmpty\b/g, 'pass --allow-empty'],
  [/\bPass \{ force: true \}/g, 'Pass --force'],
  [/\bthe option schema\b/g, '--remote-schema'],
  [/\bSet remote\.url to\b/g, 'Pass --url'],
  [/; [^;]*direction: 'push'[^;.]*/g, ''],
  [/; for a view, write the local table with its key yourself$/, ', or name its key: --pk NAME=COLUMN'],
  [
    /^Run the SQL of sqlHelpers in the project, or use a secret key, in Node only$/,
    'Set SUPABASE_SECRET_KEY, or run the SQL of the helpers in the project (docs/supabase.md); pull also works with --tables a --pk a=id',
  ],
  [/^Return .*\b(?:accessToken|access_token)$/, 'Set TIDELOCK_ACCESS_TOKEN to the token of a session'],
]

/** The codes whose hint is always that of the command line: a developer changes the files that a program has no more. */
const always: readonly ErrorCode[] = [
  'migration_checksum_mismatch',
  'migration_irreversible',
  'migration_missing',
  'migration_out_of_order',
  'schema_too_new',
]

/** What to do on the command line, by code. */
const byCode: Partial<Record<ErrorCode, string>> = {
  database_corrupt:
    'Nothing was changed. A program may save what is left of a folder: docs/runbook.md shows recover. Else restore it from a backup, or make it again with npx tidelock pull',
  database_in_use:
    'End the program that has it open, then run the command again. In a copy of a folder in use, remove its lock files (lock.*)',
  database_too_large: 'The command line opens databases of up to 1 GiB',
  decryption_failed: 'The command line opens databases without encryption only; nothing was changed',
  lock_timeout: 'End the program that has it open, then run the command again',
  migration_checksum_mismatch:
    'Restore the text of the file, and put the change into a new migration: npx tidelock migrate new NAME',
  migration_failed: 'Correct the file, then run npx tidelock migrate run again',
  migration_invalid: 'Correct the file; npx tidelock migrate lint checks all of them',
  migration_irreversible:
    'Write its .down.sql file, or a new migration that undoes it: npx tidelock migrate new NAME. Nothing was reverted',
  migration_missing: 'Put its file back into the folder of the migrations, or pass the right folder with --dir',
  migration_out_of_order:
    'Give the file a newer version than the newest applied one, which npx tidelock migrate status shows',
  out_of_memory: 'End other programs, or process less data at once',
  remote_empty:
    'Check row security, the key and the tables; if the rows were really deleted remotely, pass --allow-empty',
  schema_too_new: 'Update the folder of the migrations, or pass the right one with --dir',
  snapshot_corrupt: 'Restore another snapshot: npx tidelock snapshot list shows them',
  snapshot_incompatible: 'Update tidelock: npm install tidelock@latest',
  snapshot_not_found: 'npx tidelock snapshot list shows which there are',
  storage_unavailable: checkPath,
  sync_network: 'Check the URL, the network, and that the server runs',
  sync_protocol:
    'Check the URL: it must be a Supabase project or a PostgREST root. Redirects are not followed, to protect keys and rows',
  sync_rejected: 'npx tidelock doctor --tables NAME checks the table, the key and its rights',
  sync_schema_mismatch:
    "Give the table a primary key and the same columns on both sides: npx tidelock schema pull writes the remote's",
  sync_server: 'The remote fails or is busy: try again later',
  sync_unauthorized:
    'Use a key of this project, and a TIDELOCK_ACCESS_TOKEN that has not expired: npx tidelock doctor --tables NAME checks them',
  sync_user_mismatch: 'Pull into another file for each user: --out FILE',
  timeout: `SQL of files may run for ${schemaTimeoutMs / 1000} s: make it do less`,
  unpushed_changes:
    'Push them first: npx tidelock push; or drop them: pull --replace --discard-unpushed, or snapshot restore --force',
}

/** Returns a hint with commands instead of calls, where the command line has them. */
export function inCommands(hint: string): string {
  return commandsOf.reduce((text, [call, command]) => text.replace(call, command), hint)
}

/** Returns what to do on the command line about an error of the package; undefined when there is nothing to do there. */
function commandHint({ code, hint }: Pick<TidelockError, 'code' | 'hint'>): string | undefined {
  const translated = hint === undefined ? undefined : inCommands(hint)
  // The words of a URL aren't those of the hint.
  const isForPrograms = translated !== undefined && forPrograms.test(translated.replace(/https?:\S+/g, ''))
  return isForPrograms || always.includes(code) ? byCode[code] : translated
}

/** Returns an error of the package with a hint for the command line. */
export function withCommandHint(error: TidelockError): TidelockError {
  const { code, message, details, cause } = error
  return new TidelockError(code, message, { hint: commandHint(error), details, cause })
}
