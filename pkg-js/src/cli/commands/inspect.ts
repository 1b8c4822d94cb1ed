import { type Command, type Invocation, usageError } from '../command.js'
import { unusable } from '../errors.js'
import { nameOf, stored, withDatabase } from '../local-database.js'
import type { Output } from '../output.js'
import { type Database, isTidelockError } from '../package.js'
import { columnsOf, quoted, tableNames } from '../table-info.js'
import { serveInspector } from '../web-inspector.js'

/** The contents of a database. */
interface Inspected {
  readonly bytes: number
  /** `rows` is null where the deadline ended the count: a virtual table may have rows without end. */
  readonly tables: readonly {
    readonly name: string
    readonly rows: number | null
    readonly columns: readonly string[]
  }[]
  readonly views: readonly string[]
  readonly indexes: readonly { readonly name: string; readonly table: string }[]
  readonly triggers: readonly { readonly name: string; readonly table: string }[]
  readonly migration: string | null
  readonly sync: { readonly pending: number; readonly rejected: number }
}

/** How long the rows of all tables are counted. */
const countTimeoutMs = 5_000

async function rowsOf(db: Database, table: string, timeoutMs: number): Promise<number | null> {
  try {
    const count = await db.get<{ rows: number }>(`SELECT count(*) AS rows FROM ${quoted(table)}`, [], { timeoutMs })
    return count?.rows ?? 0
  } catch (error) {
    if (isTidelockError(error) && error.code === 'timeout') return null
    throw error
  }
}

/** Serves the inspector for the database until Ctrl-C. */
async function inspectInBrowser(given: Invocation, where: string): Promise<null> {
  if (given.flag('json'))
    throw usageError('--web has no result that --json could print', 'Leave out one of them: --json prints the contents')
  const port = given.value('port') ?? '0'
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535)
    throw usageError('--port must be a number from 0 to 65535', 'Leave it out for a free one')
  const database = stored(where)
  await withDatabase(database, given, {}, async (db) => {
    const isFolder = database.kind === 'folder'
    const served = await serveInspector({ name: nameOf(where), path: where, isFolder, db }, Number(port)).catch(
      (cause) => {
        throw unusable(`Port ${port} can't be used: ${(cause as Error).message}`, 'Leave out --port for a free one')
      },
    )
    given.output.line(served.url)
    given.output.note('Open this address in a browser. Changes stay in its page. Ctrl-C ends.')
    await new Promise<void>((resolve) => {
      given.signal.addEventListener('abort', () => resolve())
      if (given.signal.aborted) resolve()
    })
    await served.close()
  })
  return null
}

export const inspect: Command = {
  name: 'inspect',
  about: 'Shows the contents of a database: tables with their rows and columns, indexes, triggers, views.',
  operands: ['FILE|FOLDER'],
  options: {
    web: { about: 'show it in a browser: tables, SQL, schema; of a folder also the history' },
    port: { value: 'N', about: 'with --web: the port on this machine; a free one by default' },
  },
  examples: [
    'npx tidelock inspect app.sqlite',
    'npx tidelock inspect ./shop.tidelock --json',
    'npx tidelock inspect ./shop.tidelock --web',
  ],

  run: async (given) => {
    const where = given.positionals[0] as string
    if (given.flag('web')) return inspectInBrowser(given, where)
    const database = stored(where)
    return withDatabase(database, given, {}, async (db): Promise<Inspected> => {
      const tables: Inspected['tables'][number][] = []
      const deadline = Date.now() + countTimeoutMs
      for (const name of await tableNames(db)) {
        const columns = await columnsOf(db, name)
        tables.push({
          name,
          rows: await rowsOf(db, name, Math.max(1, deadline - Date.now())),
          columns: columns.map(({ name, type, key, notNull }) =>
            [name, type, key > 0 ? 'PRIMARY KEY' : notNull ? 'NOT NULL' : ''].filter(Boolean).join(' '),
          ),
        })
      }
      const size = await db.get<{ bytes: number }>(
        'SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size',
      )
      const withSql = (type: string) =>
        db.query<{ name: string; table: string }>(
          `SELECT name, tbl_name AS "table" FROM sqlite_schema WHERE type = ? AND sql IS NOT NULL
           AND tbl_name NOT LIKE 'tidelock\\_%' ESCAPE '\\' ORDER BY name`,
          [type],
        )
      const { migrations } = await db.health()
      const [pending, rejected] = [await db.sync.pending(), await db.sync.rejected()]
      // Of a file, those that were pending: see openContents.
      const held = rejected.filter(({ reason }) => database.kind === 'file' && reason === 'restored')
      return {
        bytes: size?.bytes ?? 0,
        tables,
        views: await tableNames(db, 'view'),
        indexes: await withSql('index'),
        triggers: await withSql('trigger'),
        migration: migrations.current,
        sync: { pending: pending.length + held.length, rejected: rejected.length - held.length },
      }
    })
  },

  print(answer: Inspected | null, output: Output) {
    if (answer === null) return
    const { bytes, tables, views, indexes, triggers, migration, sync } = answer
    output.line(`${bytes.toLocaleString('en-US')} bytes`)
    if (migration !== null) output.line(`migration ${migration}`)
    for (const { name, rows, columns } of tables) {
      output.line()
      const count =
        rows === null
          ? `rows not counted within ${countTimeoutMs / 1000} s`
          : `${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}`
      output.line(`${name}: ${count}`)
      for (const column of columns) output.line(`  ${column}`)
      for (const { name: index } of indexes.filter((one) => one.table === name)) output.line(`  index ${index}`)
      for (const { name: trigger } of triggers.filter((one) => one.table === name)) output.line(`  trigger ${trigger}`)
    }
    if (views.length > 0) {
      output.line()
      output.line(`views: ${views.join(', ')}`)
    }
    if (sync.pending + sync.rejected > 0) {
      output.line()
      output.line(`unpushed changes: ${sync.pending}, rejected: ${sync.rejected}`)
    }
  },
}
