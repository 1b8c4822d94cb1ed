import { type Command, type Invocation, usageError } from '../command.js'
import type { Output } from '../output.js'
import { readText } from '../read.js'
import { type ColumnFacts, columnsOf, tableNames } from '../schema-facts.js'
import { stored, withDatabase, withScratch, withScriptScratch, writeWhole } from '../stored.js'
import type { Database } from '../tidelock.js'
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
    const module = await withSource(given, (db) => typesOf(db, given.flag('bigint') ? 'bigint' : 'number'))
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
    return withDatabase(stored(where), given, {}, work)
  }
  return schema === undefined ? withScratch(readMigrations(given), work) : withScriptScratch(readText(schema), work)
}

async function typesOf(db: Database, integer: string): Promise<string> {
  const lines = ['// Written by `npx tidelock types`.', '', 'export interface Tables {']
  for (const table of [...(await tableNames(db)), ...(await tableNames(db, 'view'))]) {
    lines.push(`  ${property(table)}: {`)
    for (const column of await columnsOf(db, table))
      lines.push(`    ${property(column.name)}: ${typeOf(column, integer)}`)
    lines.push('  }')
  }
  lines.push('}', '')
  return lines.join('\n')
}

function property(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name)
}

/** Returns the type of a column's values, by SQLite's rules of affinity (https://sqlite.org/datatype3.html#determination_of_column_affinity). */
function typeOf({ type, notNull }: ColumnFacts, integer: string): string {
  const declared = type.toUpperCase()
  const value = declared.includes('INT')
    ? integer
    : /CHAR|CLOB|TEXT/.test(declared)
      ? 'string'
      : declared.includes('BLOB')
        ? 'Uint8Array'
        : /REAL|FLOA|DOUB/.test(declared)
          ? 'number'
          : /^BOOL/.test(declared)
            ? '0 | 1'
            : // A column without a type, or with NUMERIC affinity, may hold any kind of value.
              `${integer} | ${integer === 'number' ? '' : 'number | '}string | Uint8Array`
  return notNull ? value : `${value} | null`
}
