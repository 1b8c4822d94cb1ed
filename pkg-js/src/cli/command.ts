import { parseArgs } from 'node:util'
import { closest } from '../base/closest.js'
import { usageError } from './errors.js'
import type { Output } from './output.js'
import type { RemoteListener } from './remote-error.js'

export { usageError }

/** One option of a command. */
export interface OptionSpec {
  /** The name of its value in the help, such as `FILE`; an option without a value is a flag. */
  readonly value?: string
  readonly short?: string
  /** Whether the option may be repeated. */
  readonly multiple?: boolean
  readonly about: string
}

/** The arguments and the environment of a command. */
export interface Invocation {
  readonly positionals: readonly string[]
  readonly output: Output
  readonly env: Readonly<Record<string, string | undefined>>
  readonly remote: RemoteListener
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  /** Returns whether a flag is set. */
  flag(name: string): boolean
  /** Returns the value of an option; undefined when it is missing. */
  value(name: string): string | undefined
  /** Returns the values of an option that may be repeated. */
  values(name: string): readonly string[]
  /** Returns the value of a required option. Throws `invalid_argument` when it is missing. */
  need(name: string): string
}

/** A command of the command line, such as `pull` or `migrate run`. */
export interface Command {
  readonly name: string
  readonly about: string
  /** The names of its positional arguments, such as `FILE`; one in brackets is optional. */
  readonly operands?: readonly string[]
  readonly options: Readonly<Record<string, OptionSpec>>
  readonly examples: readonly string[]
  /** Runs the command. The result is printed as JSON with `--json`, else by {@link Command.print}. */
  run(invocation: Invocation): Promise<unknown>
  /** Whether the result of a check is a failure, with exit code 1; without it, whether its `ok` is false. */
  hasFailed?(answer: never): boolean
  /** Prints the result as text. */
  print(answer: never, output: Output): void
}

/** The options of every command. */
export const common: Readonly<Record<string, OptionSpec>> = {
  json: { about: 'print one JSON value, for programs' },
  help: { short: 'h', about: 'show this help' },
}

/** Parses the arguments of a command. Throws `invalid_argument` for unknown or missing ones. */
export function invocation(
  command: Command,
  args: readonly string[],
  environment: Pick<Invocation, 'output' | 'env' | 'remote' | 'signal'>,
): Invocation {
  const options = { ...common, ...command.options }
  const { values, positionals } = parse(command, args, options)
  const operands = command.operands ?? []
  const needed = operands.filter((name) => !name.startsWith('[')).length
  const missing = operands[positionals.length]
  if (positionals.length < needed) throw usageError(`tidelock ${command.name} needs ${missing}`, seeHelp(command))
  if (positionals.length > operands.length)
    throw usageError(
      `Unexpected argument '${positionals[operands.length]}' for tidelock ${command.name}`,
      seeHelp(command),
    )
  const value = (name: string) => values[name] as string | undefined
  return {
    ...environment,
    positionals,
    flag: (name) => values[name] === true,
    value,
    values: (name) => (values[name] as readonly string[] | undefined) ?? [],
    need(name) {
      const given = value(name)
      if (given === undefined || given === '')
        throw usageError(`tidelock ${command.name} needs --${name}`, seeHelp(command))
      return given
    },
  }
}

function parse(command: Command, args: readonly string[], specs: Readonly<Record<string, OptionSpec>>) {
  const options = Object.fromEntries(
    Object.entries(specs).map(([name, { value, short, multiple }]) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        ...(short === undefined ? {} : { short }),
        ...(multiple ? { multiple } : {}),
      },
    ]),
  )
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true })
  } catch (error) {
    const message = (error as Error).message.split('. To specify')[0] as string
    const [, typed] = /^Unknown option '--?([^']*)'/.exec(message) ?? []
    const meant = typed === undefined ? undefined : closest(typed, Object.keys(specs))
    throw usageError(message, `${meant === undefined ? '' : `Did you mean --${meant}? `}${seeHelp(command)}`)
  }
}

function seeHelp(command: Command): string {
  return `npx tidelock ${command.name} --help shows its usage`
}

/** Returns the help of a command. */
export function help(command: Command): string {
  const operands = (command.operands ?? []).map((name) => ` ${name}`).join('')
  const rows = Object.entries({ ...command.options, ...common }).map(([name, spec]) => {
    const short = spec.short === undefined ? '' : `-${spec.short}, `
    return [`${short}--${name}${spec.value === undefined ? '' : ` ${spec.value}`}`, spec.about] as const
  })
  return [
    `${command.about}`,
    '',
    `Usage: npx tidelock ${command.name}${operands} [options]`,
    '',
    'Options:',
    ...table(rows),
    '',
    'Examples:',
    ...command.examples.map((example) => `  ${example}`),
  ].join('\n')
}

/** Formats rows as two columns of text. */
export function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd())
}
