import { existsSync, lstatSync, mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { type Command, type Invocation, usageError } from '../command.js'
import { inferSchema } from '../infer.js'
import { nameOf, openContents, schemaTimeoutMs, withScriptScratch } from '../local-database.js'
import type { Output } from '../output.js'
import { isTidelockError, type open, type PullReport, schemaFromRemote, type TableSync } from '../package.js'
import { readText } from '../read.js'
import { byTable, type Endpoint, endpoint, names, remoteOptions, warning } from '../settings.js'
import { readSqliteFile, replaceSqliteFile, sqliteFileState } from '../sqlite-file.js'
import { tableNames } from '../table-info.js'
import { makeFolder, writeWhole } from '../write.js'

/** The result of a pull into a file. */
interface Pulled {
  readonly file: string
  readonly bytes: number
  readonly report: PullReport
}

export const pull: Command = {
  name: 'pull',
  about: "Reads a remote's tables into a .sqlite file for SQLite and the option `seed`. An interrupted pull resumes.",
  options: {
    ...remoteOptions,
    tables: { value: 'A,B', about: 'the tables to pull' },
    all: { about: 'all tables that the remote shows' },
    out: { value: 'FILE', about: "the file; 'app.sqlite' by default. An existing file is updated" },
    replace: { about: "make the tables exactly the remote's; without it rows that only the file has stay" },
    schema: { value: 'FILE', about: 'SQL that creates the tables, where the remote does not show its schema' },
    pk: { value: 'T=A,B', multiple: true, about: "a table's primary key; the types of its columns are guessed" },
    cursor: {
      value: 'T=COLUMN',
      multiple: true,
      about: 'a column that grows with each change: later pulls read only what changed',
    },
    deleted: {
      value: 'T=COLUMN',
      multiple: true,
      about: "a column that marks deleted rows, or 'compare' to find deletions by comparing keys",
    },
    full: { about: 'read all rows again, not only changed ones' },
    'allow-empty': { about: 'allow the deletion of most or all rows of a table' },
    'discard-unpushed': { about: 'with --replace: drop the changes in the file that were never pushed' },
  },
  examples: [
    'SUPABASE_URL=https://abc.supabase.co SUPABASE_SECRET_KEY=... npx tidelock pull --all --out app.sqlite',
    'npx tidelock pull --env .env --tables products,orders --cursor orders=updated_at',
    'npx tidelock pull --env .env --tables notes --pk notes=id --json',
  ],

  async run(given): Promise<Pulled> {
    const remote = endpoint(given)
    const file = given.value('out') ?? 'app.sqlite'
    const { work, resumes } = workFolder(file, await originOf(given, remote))
    const made = await makeTables(work, file, remote, given).catch((error) => {
      // No row was read.
      if (!resumes) rmSync(work, { recursive: true, force: true })
      throw error
    })
    const cursors = byTable(given, 'cursor', made)
    const deleted = byTable(given, 'deleted', made)
    const tables = made.map((table): TableSync => {
      const [cursor] = cursors.get(table) ?? []
      const [mark] = deleted.get(table) ?? []
      return { table, cursor, deleted: mark }
    })
    const db = await openWork(work, file, given, { ...remote, tables })
    const progress = given.output.progress()
    try {
      const report = await db.sync.pull({
        mode: given.flag('replace') ? 'replace' : 'merge',
        full: given.flag('full'),
        allowEmpty: given.flag('allow-empty'),
        discardUnpushed: given.flag('discard-unpushed'),
        signal: given.signal,
        onProgress: ({ table, rows, total }) => progress.show(table, rows, total),
      })
      progress.end()
      const bytes = await db.export()
      replaceSqliteFile(file, bytes, readText(path.join(work, begunFrom)))
      await db.close()
      rmSync(work, { recursive: true, force: true })
      return { file, bytes: bytes.length, report }
    } catch (error) {
      progress.end()
      // After a change of the file, a pull begins again.
      if (!isTidelockError(error, 'database_in_use'))
        given.output.note('The rows read so far are kept: run the same command again to resume.')
      throw error
    } finally {
      await db.close()
    }
  },

  print({ file, bytes, report }: Pulled, output: Output) {
    for (const { table, inserted, updated, deleted, unchanged, rejected } of report.tables) {
      const refused = rejected > 0 ? `, ${rejected} rejected` : ''
      output.line(
        `${table}: ${inserted} inserted, ${updated} updated, ${deleted} deleted, ${unchanged} unchanged${refused}`,
      )
    }
    output.line(`${file}: ${bytes.toLocaleString('en-US')} bytes, ${(report.ms / 1000).toFixed(1)} s`)
  },
}

/** The file in the work folder with the state of the target file at the start of the pull. */
const begunFrom = 'begun-from'
/** The file in the work folder with what the pull reads. */
const begunWith = 'begun-with'

/** Digests of what a pull reads: from which remote, as which user, which tables; and of the SQL of `--schema`, if that is given. */
interface RowOrigin {
  readonly rows: string
  readonly script: string | undefined
}

async function originOf(given: Invocation, { url, schema, key, accessToken }: Endpoint): Promise<RowOrigin> {
  const script = given.value('schema')
  const rows = [
    [url, schema, key, accessToken && userOf(await accessToken())],
    [given.value('tables'), given.flag('all')],
    ...['pk', 'cursor', 'deleted'].map((option) => given.values(option)),
  ]
  return {
    rows: await digestOf(JSON.stringify(rows)),
    script: script === undefined ? undefined : await digestOf(readText(script)),
  }
}

async function digestOf(text: string): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))).toString('hex')
}

/** Whether a pull is the one that was interrupted, whose schema needs not be given again. */
function isSame(begun: string, { rows, script }: RowOrigin): boolean {
  const [begunRows, begunScript] = begun.split('\n')
  return begunRows === rows && (script === undefined || begunScript === script)
}

/** Returns the user of an access token, which stays the same when the token is renewed; the token if it isn't a JWT. */
function userOf(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()).sub
  } catch {
    return token
  }
}

/** Returns the work folder of a pull, beside the file, so that an interrupted pull can resume, and whether this one does. */
function workFolder(file: string, origin: RowOrigin): { readonly work: string; readonly resumes: boolean } {
  const work = `${file}.pulling`
  const [begun, asked] = [path.join(work, begunFrom), path.join(work, begunWith)]
  const found = lstatSync(work, { throwIfNoEntry: false })
  if (found !== undefined) {
    // Resume only in a folder of this user, only the same pull, and only when the file didn't change since that began.
    const isOurs = found.isDirectory() && (process.getuid === undefined || found.uid === process.getuid())
    const resumes = isOurs && existsSync(asked) && isSame(readText(asked), origin)
    if (resumes && existsSync(begun) && readText(begun) === sqliteFileState(file)) return { work, resumes }
    rmSync(work, { recursive: true, force: true })
  }
  makeFolder(path.dirname(work))
  mkdirSync(work, { mode: 0o700 })
  writeWhole(asked, new TextEncoder().encode(`${origin.rows}\n${origin.script ?? ''}`))
  return { work, resumes: false }
}

async function openWork(work: string, file: string, given: Invocation, remote?: Parameters<typeof open>[0]['remote']) {
  const begun = path.join(work, begunFrom)
  const found = existsSync(begun) ? undefined : readSqliteFile(file)
  const options = {
    name: nameOf(file),
    storage: 'file' as const,
    path: work,
    snapshots: false as const,
    onWarning: ({ message }: { message: string }) => given.output.warn(message),
    remote,
  }
  const db = await openContents(found?.bytes, options, false)
  if (found !== undefined) writeWhole(begun, new TextEncoder().encode(found.state))
  return db
}

/** Creates missing tables. Returns the names of the tables to pull. */
async function makeTables(work: string, file: string, remote: Endpoint, given: Invocation): Promise<readonly string[]> {
  const named = names(given.value('tables'))
  const all = given.flag('all')
  if (all === named.length > 0)
    throw usageError('The tables to pull are missing or ambiguous', 'Pass either --tables a,b or --all')
  const db = await openWork(work, file, given)
  try {
    const there = await tableNames(db)
    // For a file that was pulled before, only the remote knows which tables it lacks.
    const asks = all && there.length > 0 && given.value('schema') === undefined
    const wanted = asks ? await remoteTables(remote, given) : named
    if (wanted.length > 0) byTable(given, 'pk', wanted)
    const missing = wanted.filter((table) => !there.includes(table))
    if (wanted.length > 0 && missing.length === 0) return wanted
    const script = await schemaFor(wanted.length > 0 ? missing : undefined, there, remote, given)
    await db.exec(script, { timeoutMs: schemaTimeoutMs })
    const now = await tableNames(db)
    const absent = wanted.filter((table) => !now.includes(table))
    if (absent.length > 0) throw usageError(`The schema has no table ${absent.join(', ')}`)
    return wanted.length > 0 ? wanted : now
  } finally {
    await db.close()
  }
}

/** Returns the names of the tables that the remote shows and that have a primary key. */
async function remoteTables(remote: Endpoint, given: Invocation): Promise<readonly string[]> {
  const { up } = await schemaFromRemote({ ...remote, ...warning(given) })
  return withScriptScratch(up as string, (scratch) => tableNames(scratch))
}

/** Returns SQL that creates missing tables; `tables` undefined means all that the remote shows. */
async function schemaFor(
  tables: readonly string[] | undefined,
  there: readonly string[],
  remote: Endpoint,
  given: Invocation,
): Promise<string> {
  const file = given.value('schema')
  if (file !== undefined) {
    if (there.length > 0)
      throw usageError(
        `--schema needs a new file: this one has tables already`,
        'Leave it out, or choose another --out',
      )
    return readText(file)
  }
  const keys = byTable(given, 'pk')
  if (keys.size > 0) {
    if (tables === undefined) throw usageError('--pk needs --tables', '--all reads the schema of the remote')
    given.output.warn('The types of columns are guessed from some rows; use --schema FILE for exact ones')
    return inferSchema(remote, tables, keys)
  }
  const migration = await schemaFromRemote({ ...remote, tables, ...warning(given) })
  return migration.up as string
}
