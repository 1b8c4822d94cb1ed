import type { Command } from '../command.js'
import { inCommands } from '../hints.js'
import type { Output } from '../output.js'
import { type DoctorReport, doctor as probe } from '../package.js'
import { endpoint, names, remoteOptions } from '../settings.js'

export const doctor: Command = {
  name: 'doctor',
  about:
    'Checks the environment for the features that tidelock needs; with --tables also the remote. Exit code 1 when a check fails.',
  options: { ...remoteOptions, tables: { value: 'A,B', about: 'tables of the remote to check' } },
  examples: ['npx tidelock doctor', 'npx tidelock doctor --env .env --tables orders'],
  async run(given): Promise<DoctorReport> {
    const tables = names(given.value('tables'))
    const { checks, ...report } = await probe(
      tables.length === 0 && given.value('url') === undefined ? {} : { remote: { ...endpoint(given), tables } },
    )
    return {
      ...report,
      checks: checks.map(({ hint, ...check }) => ({ ...check, hint: hint === null ? null : inCommands(hint) })),
    }
  },
  print({ checks }: DoctorReport, output: Output) {
    for (const { name, ok, message, hint } of checks) {
      output.line(`${ok ? 'ok  ' : 'FAIL'} ${name}: ${message}`)
      if (hint) output.line(`     ${hint}`)
    }
  },
}
