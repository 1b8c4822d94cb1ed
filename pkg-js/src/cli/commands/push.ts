import type { Command } from '../command.js'
import { stored, withDatabase } from '../local-database.js'
import { type Output, plain } from '../output.js'
import type { OutboxEntry, PushReport } from '../package.js'
import { endpoint, names, remoteOptions } from '../settings.js'

/** The result of a push. */
interface Pushed {
  readonly queued: Readonly<Record<string, number>>
  readonly report: PushReport
  readonly rejected: readonly OutboxEntry[]
}

export const push: Command = {
  name: 'push',
  about:
    'Sends local changes to the remote: the pending changes of a database folder, and with --new the rows that the remote lacks.',
  operands: ['FILE|FOLDER'],
  options: {
    ...remoteOptions,
    tables: { value: 'A,B', about: 'the tables to push' },
    new: {
      about:
        "also rows that the remote doesn't have. A .sqlite file can send only these: the changes in it may be outdated",
    },
  },
  examples: [
    'npx tidelock push ./shop.tidelock --env .env --tables orders,order_lines',
    'npx tidelock push app.sqlite --env .env --tables products --new',
  ],

  run(given): Promise<Pushed> {
    const tables = names(given.need('tables'))
    const remote = { ...endpoint(given), tables }
    const progress = given.output.progress()
    return withDatabase(stored(given.positionals[0] as string), given, { remote, write: true }, async (db) => {
      const queued: Record<string, number> = {}
      try {
        if (given.flag('new'))
          for (const table of tables) queued[table] = (await db.sync.enqueue(table, { signal: given.signal })).queued
        const report = await db.sync.push({
          signal: given.signal,
          onProgress: ({ table, rows, total }) => progress.show(table, rows, total),
        })
        return { queued, report, rejected: await db.sync.rejected() }
      } finally {
        progress.end()
      }
    })
  },

  print({ report, rejected }: Pushed, output: Output) {
    for (const { table, inserted, updated, deleted } of report.tables)
      output.line(`${table}: ${inserted} inserted, ${updated} updated, ${deleted} deleted`)
    for (const { table, key, reason, error } of rejected) {
      const row = JSON.stringify(key, (_, value) => plain(value))
      output.line(`rejected: ${table} ${row}: ${[reason, error].filter(Boolean).join(': ')}`)
    }
  },
}
