#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { type Command, help, invocation, table, UsageError, usageError } from './command.js'
import { doctor } from './commands/doctor.js'
import { inspect } from './commands/inspect.js'
import { migrate } from './commands/migrate.js'
import { pull } from './commands/pull.js'
import { push } from './commands/push.js'
import { schemaPull } from './commands/schema.js'
import { snapshot } from './commands/snapshot.js'
import { types } from './commands/types.js'
import { verify } from './commands/verify.js'
import { Output } from './output.js'
import { isTidelockError, TidelockError } from './tidelock.js'

const commands: readonly Command[] = [pull, push, schemaPull, types, ...migrate, inspect, verify, ...snapshot, doctor]

/** Runs a command line. Returns its exit code. */
async function main(args: readonly string[]): Promise<number> {
  const output = new Output(process.stdout, process.stderr, args.includes('--json'))
  const abort = new AbortController()
  // The first Ctrl-C cancels the command; the second one ends the process.
  process.once('SIGINT', () => abort.abort(new TidelockError('timeout', 'Interrupted')))
  try {
    const found = find(args)
    if (found === undefined) return general(args, output)
    const [command, rest] = found
    if (rest.includes('--help') || rest.includes('-h')) {
      output.lines(help(command))
      return 0
    }
    const given = invocation(command, rest, { output, env: process.env, signal: abort.signal })
    const answer = await command.run(given)
    if (output.json) output.value(answer)
    else command.print(answer as never, output)
    // A check that found a problem has a result, and still exits with 1.
    return (answer as { ok?: unknown } | null)?.ok === false ? 1 : 0
  } catch (error) {
    output.failure(
      isTidelockError(error)
        ? error
        : new TidelockError('internal', `Unexpected error: ${(error as Error)?.message ?? error}`, { cause: error }),
    )
    return error instanceof UsageError ? 2 : 1
  }
}

/** Returns the command at the start of the arguments, of one word or two, and the remaining arguments. */
function find(args: readonly string[]): readonly [Command, readonly string[]] | undefined {
  for (const words of [2, 1]) {
    const command = commands.find(({ name }) => name === args.slice(0, words).join(' '))
    if (command !== undefined) return [command, args.slice(words)]
  }
  return undefined
}

/** Handles arguments without a command: the version and the list of commands. */
function general(args: readonly string[], output: Output): number {
  const [first] = args
  if (first === '--version' || first === '-v') {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    output.line(version)
    return 0
  }
  const group = commands.filter(({ name }) => name.startsWith(`${first} `))
  const asked = first === undefined || first === '--help' || first === '-h' || first === 'help'
  if (!asked && group.length === 0)
    throw usageError(`There is no command '${first}'`, 'npx tidelock --help lists the commands')
  output.lines('Usage: npx tidelock COMMAND [options]\n')
  output.line('Commands:')
  for (const line of table((asked ? commands : group).map(({ name, about }) => [name, about]))) output.line(line)
  output.lines('\nnpx tidelock COMMAND --help shows its options and examples.')
  return asked || args.includes('--help') || args.includes('-h') ? 0 : 2
}

// A reader of the output such as `head` may stop early: that is no error.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error) => {
    if (error.code !== 'EPIPE') throw error
  })
process.exitCode = await main(process.argv.slice(2))
