import { type Database, isTidelockError, TidelockError, type Tx } from '../../index.js'

/** What {@link migrate} reads of drizzle-kit's `meta/_journal.json`. */
export interface DrizzleJournal {
  readonly entries: readonly { readonly idx: number; readonly when: number; readonly tag: string }[]
}

/** The folder that drizzle-kit generates, and where the applied migrations are noted. */
export interface DrizzleMigrations {
  /** `meta/_journal.json`. */
  readonly journal: DrizzleJournal
  /** The texts of the `.sql` files: by path, as a bundler's glob gives them, or by `m0000`, as in drizzle-kit's `migrations.js`. */
  readonly migrations: Readonly<Record<string, unknown>>
  /**
   * The table of the applied migrations.
   * @default '__drizzle_migrations'
   */
  readonly migrationsTable?: string | undefined
}

interface DrizzleMigration {
  readonly tag: string
  readonly when: number
  readonly text: string
}

/** The lines that switch foreign keys: SQLite refuses to do so in a transaction, in which all migrations run. */
const foreignKeysOff = /^\s*pragma\s+foreign_keys\s*=\s*(off|0)\s*;?\s*$/im
const foreignKeyLines = /^\s*pragma\s+foreign_keys\s*=\s*\w+\s*;?\s*$/gim

const glob = "With Vite, pass import.meta.glob('./drizzle/*.sql', { query: '?raw', import: 'default', eager: true })"

/**
 * Runs the pending migrations of drizzle-kit's folder, all in one transaction, and notes them in the table that Drizzle's own migrators
 * use. Prefer the option `migrations` of `open`, unless the database was or will be migrated by one of those.
 *
 * Where a migration switches foreign keys off, they are off for the whole run, and it fails if it causes foreign key violations. Rejects
 * with `migration_invalid` for an entry of the journal without its text, and with `migration_failed` (`details.version`, and the `cause`)
 * for a statement that fails; nothing is applied then.
 *
 * @example
 * ```ts
 * import journal from './drizzle/meta/_journal.json'
 * const migrations = import.meta.glob('./drizzle/*.sql', { query: '?raw', import: 'default', eager: true })
 * await migrate(db, { journal, migrations })
 * ```
 */
export async function migrate(db: { readonly $client: Database }, config: DrizzleMigrations): Promise<void> {
  const database = db.$client
  const migrations = read(config)
  const table = `"${(config.migrationsTable ?? '__drizzle_migrations').replaceAll('"', '""')}"`
  // As in Drizzle's own migrators.
  await database.run(
    `CREATE TABLE IF NOT EXISTS ${table} (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)`,
  )
  const pending = await pendingOf(database, table, migrations)
  if (pending.length === 0) return
  const hashes = new Map<DrizzleMigration, string>()
  for (const migration of pending) hashes.set(migration, await sha256(migration.text))
  // Another tab may apply the same migrations between the two looks.
  const run = (check: boolean) =>
    database.transaction(async (tx) => apply(tx, table, await pendingOf(tx, table, pending), hashes, check))
  const { foreign_keys } = (await database.get<{ foreign_keys: number }>('PRAGMA foreign_keys')) ?? {}
  if (foreign_keys !== 1 || !pending.some(({ text }) => pieces(text).some((piece) => foreignKeysOff.test(piece))))
    return run(false)
  // Calls run in the order in which they are made, so no other one runs between these.
  const calls = [database.run('PRAGMA foreign_keys = OFF'), run(true), database.run('PRAGMA foreign_keys = ON')]
  for (const call of await Promise.allSettled(calls)) if (call.status === 'rejected') throw call.reason
}

function read(config: DrizzleMigrations): DrizzleMigration[] {
  const { journal, migrations } = config ?? {}
  if (!Array.isArray(journal?.entries) || typeof migrations !== 'object' || migrations === null)
    throw new TidelockError('invalid_argument', 'migrate needs the journal and the migrations of drizzle-kit', {
      hint: `Import meta/_journal.json as the journal. ${glob}`,
    })
  const texts = new Map(Object.entries(migrations).map(([path, text]) => [path.replace(/^.*[\\/]|\.sql$/g, ''), text]))
  return (journal as DrizzleJournal).entries.map(({ idx, when, tag }) => {
    const text = texts.get(tag) ?? texts.get(`m${String(idx).padStart(4, '0')}`)
    if (typeof text === 'string') return { tag, when, text }
    throw new TidelockError('migration_invalid', `The text of the migration ${tag} is missing`, {
      details: { version: tag },
      hint: glob,
    })
  })
}

async function pendingOf(
  on: Database | Tx,
  table: string,
  migrations: readonly DrizzleMigration[],
): Promise<DrizzleMigration[]> {
  const last = await on.get<{ created_at: number }>(`SELECT created_at FROM ${table} ORDER BY created_at DESC LIMIT 1`)
  return migrations.filter(({ when }) => last === undefined || Number(last.created_at) < when)
}

async function apply(
  tx: Tx,
  table: string,
  migrations: readonly DrizzleMigration[],
  hashes: ReadonlyMap<DrizzleMigration, string>,
  checkForeignKeys: boolean,
): Promise<void> {
  const before = checkForeignKeys ? await violations(tx) : 0
  for (const migration of migrations) {
    const { tag, when, text } = migration
    try {
      for (const piece of pieces(text)) await tx.exec(piece.replace(foreignKeyLines, ''))
    } catch (error) {
      throw isTidelockError(error) ? failed(tag, error.message, error) : error
    }
    await tx.run(`INSERT INTO ${table} (hash, created_at) VALUES (?, ?)`, [hashes.get(migration) ?? '', when])
    if (checkForeignKeys && (await violations(tx)) > before) throw failed(tag, 'it causes foreign key violations')
  }
}

/** drizzle-kit ends statements by this comment, with or without a semicolon before it. */
function pieces(text: string): string[] {
  return text.split('--> statement-breakpoint')
}

async function violations(tx: Tx): Promise<number> {
  const [row] = await tx.query<{ n: number }>('SELECT count(*) AS n FROM pragma_foreign_key_check')
  return row?.n ?? 0
}

function failed(tag: string, why: string, cause?: TidelockError): TidelockError {
  return new TidelockError('migration_failed', `The migration ${tag} failed: ${why}`, {
    details: { ...cause?.details, version: tag },
    hint: 'Nothing was applied; correct the migration',
    cause,
  })
}

/** Returns the hash that Drizzle's migrators note, or an empty one where the page isn't secure. They don't compare it. */
async function sha256(text: string): Promise<string> {
  const digest = await globalThis.crypto?.subtle?.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest ?? []), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
