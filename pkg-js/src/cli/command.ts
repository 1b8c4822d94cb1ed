import { parseArgs } from 'node:util'
import type { Output } from './output.js'
import { TidelockError } from './tidelock.js'

/** One option of a command. */
export interface OptionSpec {
  /** What stands behind it in the help, as `FILE`; without one it is a flag. */
  readonly value?: string
  readonly short?: string
  /** May be given several times. */
  readonly multiple?: boolean
  readonly about: string
}

/** What a command gets. */
export interface Invocation {
  readonly positionals: readonly string[]
  readonly output: Output
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  /** Whether a flag was given. */
  flag(name: string): boolean
  /** The value of an option, if it was given. */
  value(name: string): string | undefined
  /** The values of an option that may be given several times. */
  values(name: string): readonly string[]
  /** The value of an option that the command can't do without; `invalid_argument` without it. */
  need(name: string): string
}

/** One command of the command line, as `pull` or `migrate run`. */
export interface Command {
  readonly name: string
  readonly about: string
  /** Names of what stands behind the command, as `FILE`; one in brackets may be left out. */
  readonly operands?: readonly string[]
  readonly options: Readonly<Record<string, OptionSpec>>
  readonly examples: readonly string[]
  /** Does it; what it gives is the answer, printed as JSON by `--json`, else by {@link Command.print}. */
  run(invocation: Invocation): Promise<unknown>
  /** The answer as text for people. */
  print(answer: never, output: Output): void
}

/** Options that each command knows. */
export const common: Readonly<Record<string, OptionSpec>> = {
  json: { about: 'print one JSON value, for programs' },
  help: { short: 'h', about: 'show this help' },
}

/** What is wrong with a command line itself: it ends with the exit code 2. */
export class Misuse extends TidelockError {}

/** A wrong use of the command line. */
export function misuse(message: string, hint?: string): Misuse {
  return new Misuse('invalid_argument', message, { hint })
}

/** Reads what stands behind a command. Fails with `invalid_argument` for what it doesn't know, or for missing operands. */
export function invocation(
  command: Command,
  args: readonly string[],
  around: Pick<Invocation, 'output' | 'env' | 'signal'>,
): Invocation {
  const options = { ...common, ...command.options }
  const { values, positionals } = parse(command, args, options)
  const operands = command.operands ?? []
  const needed = operands.filter((name) => !name.startsWith('[')).length
  const missing = operands[positionals.length]
  if (positionals.length < needed) throw misuse(`tidelock ${command.name} needs ${missing}`, seeHelp(command))
  if (positionals.length > operands.length)
    throw misuse(`tidelock ${command.name} has no use for '${positionals[operands.length]}'`, seeHelp(command))
  const value = (name: string) => values[name] as string | undefined
  return {
    ...around,
    positionals,
    flag: (name) => values[name] === true,
    value,
    values: (name) => (values[name] as readonly string[] | undefined) ?? [],
    need(name) {
      const given = value(name)
      if (given === undefined || given === '')
        throw misuse(`tidelock ${command.name} needs --${name}`, seeHelp(command))
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
    throw misuse((error as Error).message.split('. To specify')[0] as string, seeHelp(command))
  }
}

function seeHelp(command: Command): string {
  return `npx tidelock ${command.name} --help shows how it is used`
}

/** The help of one command. */
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

/** Two columns of text, the first as wide as its widest. */
export function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd())
}
