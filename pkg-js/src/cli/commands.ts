import { readFileSync } from 'node:fs'
import { closest } from '../base/closest.js'
import { type Command, help, invocation, table } from './command.js'
import { doctor } from './commands/doctor.js'
import { init } from './commands/init.js'
import { inspect } from './commands/inspect.js'
import { migrate } from './commands/migrate.js'
import { pull } from './commands/pull.js'
import { push } from './commands/push.js'
import { schemaPull } from './commands/schema.js'
import { snapshot } from './commands/snapshot.js'
import { types } from './commands/types.js'
import { verify } from './commands/verify.js'
import { CommandError, fileSystemError, UsageError, usageError } from './errors.js'
import { withCommandHint } from './hints.js'
import { Output, type Stream } from './output.js'
import { isTidelockError, TidelockError } from './package.js'
import { RemoteListener } from './remote-error.js'

const commands: readonly Command[] = [
  ...[init, pull, push, schemaPull, types],
  ...migrate,
  ...[inspect, verify],
  ...snapshot,
  doctor,
]

/** The environment of a command line. */
export interface CommandLineEnvironment {
  readonly out: Stream
  readonly err: Stream
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
}

/** Runs a command line. Returns its exit code: 0, 1 for a failure, 2 for wrong usage. */
export async function runCommandLine(args: readonly string[], environment: CommandLineEnvironment): Promise<number> {
  const { env, signal } = environment
  const output = outputOf(args, environment)
  const remote = new RemoteListener()
  try {
    const isHelp = args[0] === 'help'
    const found = find(isHelp ? args.slice(1) : args)
    if (found === undefined) return general(args, output)
    const [command, rest] = found
    if (isHelp || rest.includes('--help') || rest.includes('-h')) {
      output.lines(help(command))
      return 0
    }
    const given = invocation(command, rest, { output, env, remote, signal })
    const answer = await command.run(given)
    if (output.json) output.value(answer)
    else command.print(answer as never, output)
    // A check that found a problem has a result, and still exits with 1.
    const hasFailed = command.hasFailed?.(answer as never) ?? (answer as { ok?: unknown } | null)?.ok === false
    return hasFailed ? 1 : 0
  } catch (error) {
    output.failure(shown(error, remote))
    return error instanceof UsageError ? 2 : 1
  }
}

/** Returns the error of Ctrl-C. */
export function interrupted(): TidelockError {
  return new CommandError('timeout', 'Interrupted')
}

/** Prints the error of Ctrl-C for a command line that could not print it. */
export function printInterrupted(
  args: readonly string[],
  environment: Pick<CommandLineEnvironment, 'out' | 'err'>,
): void {
  outputOf(args, environment).failure(interrupted())
}

function outputOf(args: readonly string[], { out, err }: Pick<CommandLineEnvironment, 'out' | 'err'>): Output {
  return new Output(out, err, args.includes('--json'))
}

/** Returns an error as the user of the command line reads it. */
function shown(error: unknown, remote: RemoteListener): TidelockError {
  if (!isTidelockError(error)) {
    const message = `Unexpected error: ${(error as Error)?.message ?? error}`
    return fileSystemError(error) ?? new TidelockError('internal', message, { cause: error })
  }
  const explained = remote.explain(error)
  return error instanceof CommandError ? explained : withCommandHint(explained)
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
  const [first, second] = args
  if (first === '--version' || first === '-v') {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    output.line(version)
    return 0
  }
  const group = commands.filter(({ name }) => name.startsWith(`${first} `))
  const asked = first === undefined || ['--help', '-h', 'help'].includes(first)
  const isOfGroup = group.length > 0 && (second === undefined || second.startsWith('-'))
  if (!asked && !isOfGroup) throw unknownCommand(first, second?.startsWith('-') ? undefined : second, group.length > 0)
  output.lines('Usage: npx tidelock COMMAND [options]\n')
  output.line('Commands:')
  for (const line of table((asked ? commands : group).map(({ name, about }) => [name, about]))) output.line(line)
  output.lines('\nnpx tidelock COMMAND --help shows its options and examples.')
  return asked || args.includes('--help') || args.includes('-h') ? 0 : 2
}

function unknownCommand(first: string, second: string | undefined, isInGroup: boolean): UsageError {
  const both = `${first} ${second}`
  const typed = isInGroup ? both : first
  const names = commands.map(({ name }) => name)
  const groups = names.flatMap((name) => (name.includes(' ') ? name.split(' ', 1) : []))
  const meant = closest(both, names) ?? closest(typed, [...names, ...groups])
  const suggestion = meant === undefined ? '' : `Did you mean '${meant}'? `
  return usageError(`There is no command '${typed}'`, `${suggestion}npx tidelock --help lists the commands`)
}
