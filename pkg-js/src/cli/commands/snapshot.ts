import { type Command, type Invocation, type OptionSpec, usageError } from '../command.js'
import type { Output } from '../output.js'
import { stored, withDatabase } from '../stored.js'
import type { SnapshotInfo } from '../tidelock.js'

const folder: Readonly<Record<string, OptionSpec>> = {
  db: { value: 'FOLDER', about: "the folder of a database with storage: 'file'" },
}

const create: Command = {
  name: 'snapshot create',
  about: 'Takes a snapshot.',
  options: { ...folder, label: { value: 'TEXT', about: 'a label, which keeps the snapshot until it is deleted' } },
  examples: ['npx tidelock snapshot create --db ./shop.tidelock --label "before the import"'],
  run: (given) => {
    const label = given.value('label')
    return withFolder(given, true, (db) => db.snapshots.create(label === undefined ? {} : { label }))
  },
  print: (snapshot: SnapshotInfo, output: Output) => printSnapshot(snapshot, output),
}

const list: Command = {
  name: 'snapshot list',
  about: 'Lists the snapshots, the newest first.',
  options: folder,
  examples: ['npx tidelock snapshot list --db ./shop.tidelock'],
  run: (given) => withFolder(given, false, (db) => db.snapshots.list()),
  print(snapshots: readonly SnapshotInfo[], output: Output) {
    for (const snapshot of snapshots) printSnapshot(snapshot, output)
    if (snapshots.length === 0) output.line('There are no snapshots.')
  },
}

const restore: Command = {
  name: 'snapshot restore',
  about: 'Restores a snapshot, or the state at a time. The current state becomes a snapshot first.',
  operands: ['[ID]'],
  options: {
    ...folder,
    at: { value: 'TIME', about: 'the newest state not later than this, such as 2026-03-01T12:00:00Z' },
    force: { about: 'restore even if there are unpushed changes' },
  },
  examples: [
    'npx tidelock snapshot restore 17 --db ./shop.tidelock',
    'npx tidelock snapshot restore --at 2026-03-01T12:00:00Z --db ./shop.tidelock',
  ],
  async run(given): Promise<{ restored: string }> {
    const [id] = given.positionals
    const at = given.value('at')
    if ((id === undefined) === (at === undefined))
      throw usageError('The snapshot to restore is missing or ambiguous', 'Pass either an ID or --at TIME')
    const what = id ?? { at: at as string }
    await withFolder(given, true, (db) => db.snapshots.restore(what, { force: given.flag('force') }))
    return { restored: id ?? (at as string) }
  },
  print: ({ restored }: { restored: string }, output: Output) => output.line(`restored ${restored}`),
}

/** The commands for snapshots. */
export const snapshot: readonly Command[] = [create, list, restore]

function withFolder<T>(given: Invocation, write: boolean, work: Parameters<typeof withDatabase<T>>[3]): Promise<T> {
  const where = stored(given.need('db'))
  if (where.kind === 'file')
    throw usageError(`${where.path} is a single file, which has no snapshots`, "Pass a folder of storage: 'file'")
  return withDatabase(where, given, { write }, work)
}

function printSnapshot({ id, createdAt, bytes, reason, label }: SnapshotInfo, output: Output): void {
  output.line(
    `${id}  ${createdAt}  ${bytes.toLocaleString('en-US')} bytes  ${reason}${label === null ? '' : `  "${label}"`}`,
  )
}
