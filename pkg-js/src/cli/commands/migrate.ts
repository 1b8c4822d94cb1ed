import { type Command, type Invocation, type OptionSpec, table, usageError } from '../command.js'
import { databaseIn, withDatabase, withScratch } from '../local-database.js'
import type { Output } from '../output.js'
import {
  type Database,
  type GeneratedMigration,
  isTidelockError,
  type LintFinding,
  type MigrationReport,
  type MigrationRunOptions,
  type MigrationStatus,
  TidelockError,
} from '../package.js'
import { readText } from '../read.js'
import { byTable } from '../settings.js'
import { folderOption, readMigrations, writeMigration } from './migrate-files.js'

const onDatabase: Readonly<Record<string, OptionSpec>> = {
  db: { value: 'FILE|FOLDER', about: 'the database, instead of its path' },
  ...folderOption,
}
const operands = ['[FILE|FOLDER]']

const limits: Readonly<Record<string, OptionSpec>> = {
  to: { value: 'VERSION', about: 'the last version' },
  steps: { value: 'N', about: 'the number of migrations' },
  'dry-run': { about: 'only show what would be done' },
}

const migrateNew: Command = {
  name: 'migrate new',
  about: 'Creates the two files of a new migration.',
  operands: ['NAME'],
  options: folderOption,
  examples: ['npx tidelock migrate new "add orders"'],
  async run(given): Promise<{ files: string[] }> {
    const name = given.positionals[0] as string
    return { files: writeMigration(given, name, `-- ${name}\n`, `-- Reverts: ${name}\n`) }
  },
  print({ files }: { files: string[] }, output: Output) {
    for (const file of files) output.line(file)
  },
}

const status: Command = {
  name: 'migrate status',
  about: 'Shows the state of each migration in a database.',
  operands,
  options: onDatabase,
  examples: ['npx tidelock migrate status app.sqlite'],
  async run(given): Promise<MigrationStatus[]> {
    const where = databaseIn(given, given.positionals[0], 'migrate status')
    const migrations = readMigrations(given)
    const applied = await withDatabase(where, given, { mayBeNew: true }, (db) => db.migrations.status())
    // Opened with migrations, a database whose history differs from theirs is an error.
    return withScratch(
      migrations,
      (db) => db.migrations.status(),
      (db) => copyHistory(db, applied),
    )
  },
  print(rows: readonly MigrationStatus[], output: Output) {
    for (const { version, name, state, appliedAt } of rows)
      output.line(`${state.padEnd(12)} ${version}  ${name}${appliedAt === null ? '' : `  (${appliedAt})`}`)
    if (rows.length === 0) output.line('There are no migrations.')
  },
}

const run: Command = {
  name: 'migrate run',
  about: 'Applies pending migrations.',
  operands,
  options: {
    ...onDatabase,
    ...limits,
    all: { about: 'all in one transaction' },
    create: { about: 'make the database file, if there is none' },
  },
  examples: [
    'npx tidelock migrate run app.sqlite',
    'npx tidelock migrate run app.sqlite --dry-run',
    'npx tidelock migrate run app.sqlite --create',
  ],
  run: (given) =>
    withHistory(given, 'migrate run', { write: true, mayBeNew: true }, (db) =>
      db.migrations.run({ ...limitsOf(given), ...(given.flag('all') ? { atomic: 'all' } : {}) }),
    ),
  print: printReport,
}

const revert: Command = {
  name: 'migrate revert',
  about: 'Reverts the newest migration, or several.',
  operands,
  options: { ...onDatabase, ...limits },
  examples: ['npx tidelock migrate revert app.sqlite', 'npx tidelock migrate revert app.sqlite --to 0003'],
  run: (given) => withHistory(given, 'migrate revert', { write: true }, (db) => db.migrations.revert(limitsOf(given))),
  print: printReport,
}

/** A released migration keeps these for ever. */
const mayBeMeant = new Set<LintFinding['code']>(['no_down', 'drop_table', 'drop_column', 'delete_without_where'])

const lint: Command = {
  name: 'migrate lint',
  about:
    'Finds likely mistakes in migrations. Exit code 1 for what fails or has no effect, not for destructive steps or a missing down.',
  options: folderOption,
  examples: ['npx tidelock migrate lint'],
  run: (given) => withScratch(readMigrations(given), (db) => db.migrations.lint()),
  hasFailed: (found: readonly LintFinding[]) => found.some(({ code }) => !mayBeMeant.has(code)),
  print(found: readonly LintFinding[], output: Output) {
    for (const { version, line, code, message } of found) output.line(`${version}:${line}: ${message} (${code})`)
    if (found.length === 0) output.line('Nothing was found.')
  },
}

type GeneratedFiles = GeneratedMigration & { readonly files: readonly string[] }

const generate: Command = {
  name: 'migrate generate',
  about: 'Writes a migration from the schema of the migrations to another schema.',
  operands: ['NAME'],
  options: {
    ...folderOption,
    schema: { value: 'FILE', about: 'SQL that creates the wanted schema' },
    rename: { value: 'OLD=NEW', multiple: true, about: 'a renamed table or column (table.column)' },
  },
  examples: [
    'npx tidelock migrate generate "split names" --schema schema.sql',
    'npx tidelock migrate generate "mail to email" --schema schema.sql --rename users.mail=users.email',
  ],
  async run(given): Promise<GeneratedFiles> {
    const wanted = readText(given.need('schema'))
    const renames = Object.fromEntries([...byTable(given, 'rename')].map(([old, [name]]) => [old, name as string]))
    const generated = await withScratch(readMigrations(given), (db) => db.migrations.generate(wanted, { renames }))
    const { up, down } = generated
    return {
      files: up.trim() === '' ? [] : writeMigration(given, given.positionals[0] as string, up, down),
      ...generated,
    }
  },
  print({ files, destructive }: GeneratedFiles, output: Output) {
    for (const file of files) output.line(file)
    for (const loss of destructive) output.warn(`Destructive: ${loss}`)
    if (files.length === 0) output.line('The schemas are the same.')
  },
}

/** The commands for migrations. */
export const migrate: readonly Command[] = [migrateNew, status, lint, generate, run, revert]

/** Makes a tracking table with the rows of another database. */
async function copyHistory(db: Database, applied: readonly MigrationStatus[]): Promise<void> {
  await db.exec('CREATE TABLE schema_migrations (version, name, checksum, applied_at, execution_ms)')
  await db.runMany(
    'INSERT INTO schema_migrations VALUES (?, ?, ?, ?, ?)',
    applied.map((row) => [row.version, row.name, row.checksum, row.appliedAt, row.executionMs]),
  )
}

/** Opens the database with the migrations of the folder; opening applies none of them. */
async function withHistory<T>(
  given: Invocation,
  command: string,
  access: { readonly write?: boolean; readonly mayBeNew?: boolean },
  work: Parameters<typeof withDatabase<T>>[3],
): Promise<T> {
  const where = databaseIn(given, given.positionals[0], command)
  const migrations = readMigrations(given)
  const write = access.write === true && !given.flag('dry-run')
  try {
    return await withDatabase(where, given, { ...access, migrations, migrate: false, write }, work)
  } catch (error) {
    // The seed of a file whose newest migration isn't supplied; one of a newer format is refused here again.
    if (!isTidelockError(error, 'snapshot_incompatible') || where.kind === 'folder') throw error
    const newest = (await withDatabase(where, given, {}, (db) => db.migrations.status())).at(-1)
    if (newest === undefined) throw error
    const { version, name } = newest
    const message = `${where.path} stands at migration ${version} (${name}), which the folder of the migrations lacks`
    throw new TidelockError('schema_too_new', message, { details: { version } })
  }
}

function limitsOf(given: Invocation): MigrationRunOptions {
  const steps = given.value('steps')
  if (steps !== undefined && !/^\d+$/.test(steps)) throw usageError('--steps needs a whole number')
  return {
    to: given.value('to'),
    steps: steps === undefined ? undefined : Number(steps),
    dryRun: given.flag('dry-run'),
    signal: given.signal,
  }
}

function printReport({ planned, applied, reverted }: MigrationReport, output: Output): void {
  const done = [...applied, ...reverted]
  const rows = done.map(({ version, name, executionMs }) => [version, `${name}  ${executionMs} ms`] as const)
  const plans = planned.map(
    ({ version, name, direction }) =>
      [version, `${name}  would be ${direction === 'up' ? 'applied' : 'reverted'}`] as const,
  )
  for (const line of table(done.length > 0 ? rows : plans)) output.line(line.trimStart())
  if (done.length === 0 && planned.length === 0) output.line('There is nothing to do.')
}
