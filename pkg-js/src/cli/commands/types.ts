import { type Command, type Invocation, usageError } from '../command.js'
import { stored, withDatabase, withScratch, withScriptScratch } from '../local-database.js'
import { type Output, visible } from '../output.js'
import { type Database, isTidelockError } from '../package.js'
import { readText } from '../read.js'
import { type ColumnInfo, columnsOf, tableNames } from '../table-info.js'
import { writeWhole } from '../write.js'
import { folderOption, readMigrations } from './migrate-files.js'

export const types: Command = {
  name: 'types',
  about: 'Writes TypeScript types of the tables and views: `db.query<Tables["orders"]>(...)`.',
  operands: ['[FILE|FOLDER]'],
  options: {
    ...folderOption,
    schema: { value: 'FILE', about: 'SQL that creates the tables, instead of a database or migrations' },
    out: { value: 'FILE', about: 'the file to write; printed by default' },
    bigint: { about: "integers as bigint, for databases opened with integers: 'bigint'" },
  },
  examples: ['npx tidelock types app.sqlite --out src/tables.ts', 'npx tidelock types --dir migrations'],

  async run(given): Promise<{ file: string | null; module: string }> {
    const module = await withSource(given, (db) => typesOf(db, given))
    const file = given.value('out') ?? null
    if (file !== null) writeWhole(file, new TextEncoder().encode(module))
    return { file, module }
  },

  print({ file, module }: { file: string | null; module: string }, output: Output) {
    if (file === null) output.lines(module.trimEnd())
    else output.line(file)
  },
}

/** Runs `work` with the schema in the arguments: of a database, of a script, or else of the migrations. */
async function withSource<T>(given: Invocation, work: (db: Database) => Promise<T>): Promise<T> {
  const [where] = given.positionals
  const schema = given.value('schema')
  if (where !== undefined) {
    if (schema !== undefined) throw usageError('A database and --schema exclude each other', 'Pass only one of them')
    return withDatabase(stored(where), given, { otherFolder: 'the folder of migrations with --dir' }, work)
  }
  return schema === undefined ? withScratch(readMigrations(given), work) : withScriptScratch(readText(schema), work)
}

/** The values of a column: as rows have them, and as a statement takes them. */
interface ColumnTypes {
  readonly row: string
  readonly bound: string
}

/** Names for values whose SQLite type says less than their declaration. */
const aliases: Readonly<Record<string, string>> = {
  Json: '/** A JSON text: JSON.parse reads it. */\nexport type Json = string',
  Timestamp: '/** A time, ISO 8601: new Date() reads it. */\nexport type Timestamp = string',
  DateText: '/** A date, as 2026-11-20. */\nexport type DateText = string',
}

async function typesOf(db: Database, given: Invocation): Promise<string> {
  const integer = given.flag('bigint') ? 'bigint' : 'number'
  const columns = new Map<string, ColumnInfo[]>()
  const tables = await tableNames(db)
  for (const table of tables) columns.set(table, await columnsOf(db, table))
  for (const view of await tableNames(db, 'view')) {
    try {
      const found = await columnsOf(db, view)
      // SQLite gives a view's column the type BLOB also where it may hold any kind of value.
      columns.set(
        view,
        found.map((column) => (column.type === 'BLOB' ? { ...column, type: '' } : column)),
      )
    } catch (error) {
      // Such as one of a table that doesn't exist any more.
      if (!isTidelockError(error, 'sqlite_error')) throw error
      given.output.warn(`The view ${view} can't be read, so it is left out: ${error.message}`)
    }
  }
  const section = (about: string, name: string, of: readonly string[], lineOf: (column: ColumnInfo) => string[]) => [
    '',
    `/** ${about} */`,
    `export interface ${name} {`,
    ...of.flatMap((table) => {
      const lines = (columns.get(table) ?? []).flatMap(lineOf)
      return [`  ${property(table)}: {`, ...lines.map((line) => `    ${line}`), '  }']
    }),
    '}',
  ]
  const orNull = (type: string, { notNull }: ColumnInfo) => (notNull ? type : `${type} | null`)
  const lines = [
    ...section('The rows of tables and views: `db.query<Tables["…"]>(…)`.', 'Tables', [...columns.keys()], (column) => [
      `${property(column.name)}: ${orNull(typesOfColumn(column, integer).row, column)}`,
    ]),
    ...section(
      'What an INSERT takes: columns with a default, and those that may be NULL, can be left out.',
      'Inserts',
      tables,
      (column) => {
        const mark = column.hasDefault || !column.notNull ? '?' : ''
        return column.generated
          ? []
          : [`${property(column.name)}${mark}: ${orNull(typesOfColumn(column, integer).bound, column)}`]
      },
    ),
    '',
    '/** What an UPDATE takes. */',
    'export type Updates = { [Table in keyof Inserts]: Partial<Inserts[Table]> }',
  ]
  const text = lines.join('\n')
  const used = Object.entries(aliases).flatMap(([name, alias]) =>
    new RegExp(`: ${name}\\b`).test(text) ? ['', alias] : [],
  )
  return ['// Written by `npx tidelock types`.', ...used, text, ''].join('\n')
}

function property(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : visible(JSON.stringify(name))
}

/**
 * Returns the types of a column's values: by the words with which it is declared, else by SQLite's rules of affinity
 * (https://sqlite.org/datatype3.html#determination_of_column_affinity).
 */
function typesOfColumn({ type }: ColumnInfo, integer: string): ColumnTypes {
  const declared = type.toUpperCase()
  if (/^JSONB?\b/.test(declared) && !declared.includes('BLOB')) {
    // Without TEXT in its declaration, SQLite stores a JSON number as a number.
    return {
      row: /CHAR|CLOB|TEXT/.test(declared) ? 'Json' : `Json | ${integer === 'number' ? '' : 'bigint | '}number`,
      bound: 'Json',
    }
  }
  if (/^(TIMESTAMP|DATETIME)/.test(declared)) return { row: 'Timestamp', bound: 'Timestamp | Date' }
  if (/^DATE\b/.test(declared)) return { row: 'DateText', bound: 'DateText' }
  if (/^BOOL/.test(declared)) return { row: integer === 'number' ? '0 | 1' : '0n | 1n', bound: 'boolean | 0 | 1' }
  if (declared.includes('INT')) return { row: integer, bound: 'number | bigint' }
  if (/CHAR|CLOB|TEXT/.test(declared)) return { row: 'string', bound: 'string' }
  if (declared.includes('BLOB')) return { row: 'Uint8Array', bound: 'Uint8Array | ArrayBuffer' }
  // With NUMERIC affinity, which keeps a text with hyphens.
  if (/^UUID\b/.test(declared)) return { row: 'string', bound: 'string' }
  if (/REAL|FLOA|DOUB/.test(declared)) return { row: 'number', bound: 'number' }
  // A column without a type, or with NUMERIC affinity, may hold any kind of value.
  return {
    row: `${integer} | ${integer === 'number' ? '' : 'number | '}string | Uint8Array`,
    bound: 'number | bigint | string | Uint8Array',
  }
}
