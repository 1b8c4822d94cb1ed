import { existsSync } from 'node:fs'
import { type Command, type Invocation, type OptionSpec, usageError } from '../command.js'
import { databaseIn, type LocalDatabase, withDatabase } from '../local-database.js'
import type { Output } from '../output.js'
import type { SnapshotInfo } from '../package.js'

const folder: Readonly<Record<string, OptionSpec>> = {
  db: { value: 'FOLDER', about: "the folder of a database with storage: 'file', instead of its path" },
}
const operands = ['[FOLDER]']

const create: Command = {
  name: 'snapshot create',
  about: 'Takes a snapshot.',
  operands,
  options: { ...folder, label: { value: 'TEXT', about: 'a label, which keeps the snapshot until it is deleted' } },
  examples: ['npx tidelock snapshot create ./shop.tidelock --label "before the import"'],
  run: (given) =>
    withDatabase(folderIn(given, given.positionals[0], 'snapshot create'), given, { write: true }, (db) =>
      db.snapshots.create({ label: given.value('label') }),
    ),
  print: (snapshot: SnapshotInfo, output: Output) => printSnapshot(snapshot, output),
}

const list: Command = {
  name: 'snapshot list',
  about: 'Lists the snapshots, the newest first.',
  operands,
  options: folder,
  examples: ['npx tidelock snapshot list ./shop.tidelock'],
  run: (given) =>
    withDatabase(folderIn(given, given.positionals[0], 'snapshot list'), given, { write: false }, (db) =>
      db.snapshots.list(),
    ),
  print(snapshots: readonly SnapshotInfo[], output: Output) {
    for (const snapshot of snapshots) printSnapshot(snapshot, output)
    if (snapshots.length === 0) output.line('There are no snapshots.')
  },
}

const restore: Command = {
  name: 'snapshot restore',
  about: 'Restores a snapshot, or the state at a time. The current state becomes a snapshot first.',
  operands: ['[ID]', '[FOLDER]'],
  options: {
    ...folder,
    at: { value: 'TIME', about: 'the newest state not later than this, such as 2026-03-01T12:00:00Z' },
    force: { about: 'restore even if there are unpushed changes' },
  },
  examples: [
    'npx tidelock snapshot restore 17 ./shop.tidelock',
    'npx tidelock snapshot restore ./shop.tidelock --at 2026-03-01T12:00:00Z',
  ],
  async run(given): Promise<{ restored: string }> {
    const at = given.value('at')
    const [first, second] = given.positionals
    // With --at there is no ID, so that the one operand is the folder.
    const [id, operand] = at === undefined || second !== undefined ? [first, second] : [undefined, first]
    if ((id === undefined) === (at === undefined))
      throw usageError('The snapshot to restore is missing or ambiguous', 'Pass either an ID or --at TIME')
    if (at !== undefined && !isTime(at))
      throw usageError(`--at ${at} is not a time`, 'Write it with date, time and zone, like 2026-03-01T12:00:00Z')
    const where = operand ?? given.value('db')
    if (id !== undefined && existsSync(id) && (where === undefined || !existsSync(where)))
      throw usageError(
        `The ID of the snapshot must come before the folder ${id}`,
        `npx tidelock snapshot list ${id} shows the snapshots`,
      )
    const what = id ?? { at: at as string }
    await withDatabase(folderIn(given, operand, 'snapshot restore'), given, { write: true }, (db) =>
      db.snapshots.restore(what, { force: given.flag('force') }),
    )
    return { restored: id ?? (at as string) }
  },
  print: ({ restored }: { restored: string }, output: Output) => output.line(`restored ${restored}`),
}

/** The commands for snapshots. */
export const snapshot: readonly Command[] = [create, list, restore]

/** Returns the folder in the arguments. */
function folderIn(given: Invocation, operand: string | undefined, command: string): LocalDatabase {
  const where = databaseIn(given, operand, command)
  if (where.kind === 'file')
    throw usageError(`${where.path} is a single file, which has no snapshots`, "Pass a folder of storage: 'file'")
  return where
}

/** Returns whether a text is a point in time as `restore` takes it: a date alone, or a time without a zone, is ambiguous. */
function isTime(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:?\d\d)$/i.test(text) && !Number.isNaN(Date.parse(text))
}

function printSnapshot({ id, createdAt, bytes, reason, label }: SnapshotInfo, output: Output): void {
  output.line(
    `${id}  ${createdAt}  ${bytes.toLocaleString('en-US')} bytes  ${reason}${label === null ? '' : `  "${label}"`}`,
  )
}
