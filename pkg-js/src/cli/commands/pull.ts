import { existsSync, lstatSync, mkdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { type Command, type Invocation, misuse } from '../command.js'
import { inferSchema } from '../infer.js'
import type { Output } from '../output.js'
import { readText } from '../read.js'
import { tableNames } from '../schema-facts.js'
import { byTable, type Endpoint, endpoint, names, remoteOptions } from '../settings.js'
import { bytesIfThere, inScriptScratch, longestRunMs, nameOf, writeWhole } from '../stored.js'
import { open, type PullReport, schemaFromRemote, type TableSync } from '../tidelock.js'

/** What a pull into a file did. */
interface Pulled {
  readonly file: string
  readonly bytes: number
  readonly report: PullReport
}

export const pull: Command = {
  name: 'pull',
  about: "Brings a remote's tables into a .sqlite file, which SQLite opens and `seed` takes. Goes on where it was cut.",
  options: {
    ...remoteOptions,
    tables: { value: 'A,B', about: 'the tables to pull' },
    all: { about: 'all tables that the remote shows' },
    out: { value: 'FILE', about: "the file; 'app.sqlite' by default. One that is there is brought up to date" },
    replace: { about: "make the tables exactly the remote's; without it what is only in the file stays" },
    schema: { value: 'FILE', about: 'SQL that creates the tables, where the remote does not tell' },
    pk: { value: 'T=A,B', multiple: true, about: "a table's key; its columns' types are guessed then" },
    cursor: {
      value: 'T=COLUMN',
      multiple: true,
      about: 'a column that grows with each change: later pulls read only what changed',
    },
    deleted: {
      value: 'T=COLUMN',
      multiple: true,
      about: "a column that marks deleted rows, or 'compare' to find those that are gone",
    },
    full: { about: 'read everything again, not only what changed' },
    'allow-empty': { about: 'let rows go although most or all of a table would' },
  },
  examples: [
    'SUPABASE_URL=https://abc.supabase.co SUPABASE_SECRET_KEY=... npx tidelock pull --all --out app.sqlite',
    'npx tidelock pull --env .env --tables products,orders --cursor orders=updated_at',
    'npx tidelock pull --env .env --tables notes --pk notes=id --json',
  ],

  async run(given): Promise<Pulled> {
    const remote = endpoint(given)
    const file = given.value('out') ?? 'app.sqlite'
    const work = workFolder(file)
    const made = await makeTables(work, file, remote, given)
    const cursors = byTable(given, 'cursor')
    const deleted = byTable(given, 'deleted')
    const tables = made.map((table): TableSync => {
      const [cursor] = cursors.get(table) ?? []
      const [mark] = deleted.get(table) ?? []
      return { table, ...(cursor === undefined ? {} : { cursor }), ...(mark === undefined ? {} : { deleted: mark }) }
    })
    const db = await openWork(work, file, given, { ...remote, tables })
    const progress = given.output.progress()
    try {
      const report = await db.sync.pull({
        mode: given.flag('replace') ? 'replace' : 'merge',
        full: given.flag('full'),
        allowEmpty: given.flag('allow-empty'),
        signal: given.signal,
        onProgress: ({ table, rows, total }) => progress.show(table, rows, total),
      })
      progress.end()
      const bytes = await db.export()
      writeWhole(file, bytes)
      await db.close()
      rmSync(work, { recursive: true, force: true })
      return { file, bytes: bytes.length, report }
    } catch (error) {
      progress.end()
      given.output.note('What was read so far is kept: the same command goes on from there.')
      throw error
    } finally {
      await db.close()
    }
  },

  print({ file, bytes, report }: Pulled, output: Output) {
    for (const { table, inserted, updated, deleted, unchanged, rejected } of report.tables) {
      const refused = rejected > 0 ? `, ${rejected} refused` : ''
      output.line(`${table}: ${inserted} new, ${updated} changed, ${deleted} gone, ${unchanged} as they were${refused}`)
    }
    output.line(`${file}: ${bytes.toLocaleString('en-US')} bytes, ${(report.ms / 1000).toFixed(1)} s`)
  },
}

/** The file of the work folder that tells from what the pull began. */
const begunFrom = 'begun-from'

/** Where a pull works until it is complete: beside the file, so that a pull that was cut can go on. */
function workFolder(file: string): string {
  const work = `${file}.pulling`
  const begun = path.join(work, begunFrom)
  const found = lstatSync(work, { throwIfNoEntry: false })
  if (found !== undefined) {
    // Nobody else has prepared it, and nobody wrote the file since: what was begun from another one is of no use.
    const isOurs = found.isDirectory() && (process.getuid === undefined || found.uid === process.getuid())
    if (isOurs && existsSync(begun) && readText(begun) === fileState(file)) return work
    rmSync(work, { recursive: true, force: true })
  }
  mkdirSync(path.dirname(work), { recursive: true })
  mkdirSync(work, { mode: 0o700 })
  return work
}

function fileState(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false })
  return found === undefined ? 'nothing' : `${found.size} bytes of ${found.mtimeMs}`
}

async function openWork(work: string, file: string, given: Invocation, remote?: Parameters<typeof open>[0]['remote']) {
  const begun = path.join(work, begunFrom)
  const seed = existsSync(begun) ? undefined : bytesIfThere(file)
  const db = await open({
    name: nameOf(file),
    storage: 'file',
    path: work,
    snapshots: false,
    onWarning: ({ message }) => given.output.warn(message),
    ...(seed === undefined ? {} : { seed }),
    ...(remote === undefined ? {} : { remote }),
  })
  writeWhole(begun, new TextEncoder().encode(fileState(file)))
  return db
}

/** Makes the tables that aren't there yet; which ones are to be pulled. */
async function makeTables(work: string, file: string, remote: Endpoint, given: Invocation): Promise<readonly string[]> {
  const named = names(given.value('tables'))
  const all = given.flag('all')
  if (all === named.length > 0) throw misuse('What to pull is not clear', 'Give either --tables a,b or --all')
  const db = await openWork(work, file, given)
  try {
    const there = await tableNames(db)
    // Only the remote knows which tables a file lacks that was pulled, or begun, before.
    const asks = all && there.length > 0 && given.value('schema') === undefined
    const wanted = asks ? await remoteTables(remote) : named
    const missing = wanted.filter((table) => !there.includes(table))
    if (wanted.length > 0 && missing.length === 0) return wanted
    const script = await schemaFor(wanted.length > 0 ? missing : undefined, there, remote, given)
    await db.exec(script, { timeoutMs: longestRunMs })
    const now = await tableNames(db)
    const absent = wanted.filter((table) => !now.includes(table))
    if (absent.length > 0) throw misuse(`The schema has no table ${absent.join(', ')}`)
    return wanted.length > 0 ? wanted : now
  } finally {
    await db.close()
  }
}

/** The tables that the remote shows and that have a primary key. */
async function remoteTables(remote: Endpoint): Promise<readonly string[]> {
  const { up } = await schemaFromRemote(remote)
  return inScriptScratch(up as string, (scratch) => tableNames(scratch))
}

/** SQL for the tables (undefined: all that the remote shows) that aren't there. */
async function schemaFor(
  tables: readonly string[] | undefined,
  there: readonly string[],
  remote: Endpoint,
  given: Invocation,
): Promise<string> {
  const file = given.value('schema')
  if (file !== undefined) {
    if (there.length > 0)
      throw misuse(`--schema is for a new file: there are tables already`, 'Leave it out, or choose another --out')
    return readText(file)
  }
  const keys = byTable(given, 'pk')
  if (keys.size > 0) {
    if (tables === undefined) throw misuse('--pk needs --tables', '--all asks the remote for its schema')
    given.output.warn('The types of columns are guessed from some rows. A --schema FILE is exact')
    return inferSchema(remote, tables, keys)
  }
  const migration = await schemaFromRemote({ ...remote, ...(tables === undefined ? {} : { tables }) })
  return migration.up as string
}
