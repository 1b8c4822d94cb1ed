import type { Command } from '../command.js'
import type { Output } from '../output.js'
import { endpoint, names, remoteOptions } from '../settings.js'
import { doctor as probe } from '../tidelock.js'

type DoctorReport = Awaited<ReturnType<typeof probe>>

export const doctor: Command = {
  name: 'doctor',
  about:
    'Looks whether everything is there that tidelock needs; with --tables also at the remote. Exit code 1 when something is missing.',
  options: { ...remoteOptions, tables: { value: 'A,B', about: 'tables of the remote to look at' } },
  examples: ['npx tidelock doctor', 'npx tidelock doctor --env .env --tables orders'],
  run: (given): Promise<DoctorReport> => {
    const tables = names(given.value('tables'))
    return probe(
      tables.length === 0 && given.value('url') === undefined ? {} : { remote: { ...endpoint(given), tables } },
    )
  },
  print({ checks }: DoctorReport, output: Output) {
    for (const { name, ok, message, hint } of checks) {
      output.line(`${ok ? 'ok  ' : 'FAIL'} ${name}: ${message}`)
      if (hint) output.line(`     ${hint}`)
    }
  },
}
