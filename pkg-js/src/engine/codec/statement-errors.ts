import { closest } from '../../base/closest.js'
import { isCoreError } from '../../base/errors.js'

/** How much of a statement an error holds, in UTF-16 units: the text may be a script that a program wrote. */
const longest = 1000

/**
 * Adds to an error of a statement what its text shows: `details.sql` to SQLite's errors, and hints about common mistakes. `names` are the
 * names of the parameters, joined by NUL. Returns other thrown values unchanged.
 */
export function withStatement(thrown: unknown, sql: string, names = ''): unknown {
  if (!isCoreError(thrown) || thrown instanceof Error) return thrown
  const { code, message, details } = thrown
  if (code.startsWith('sqlite_')) {
    const shown = sql.length > longest ? `${sql.slice(0, longest)}…` : sql
    return { ...thrown, ...hinted(mistakeHint(message, sql)), details: { ...details, sql: shown } }
  }
  const parameter = details?.parameter
  if (code !== 'invalid_argument' || parameter === undefined) return thrown
  const hint = typeof parameter === 'string' ? typoHint(parameter, sql, names) : quotesHint(message, sql)
  return { ...thrown, ...hinted(hint) }
}

function hinted(hint: string | undefined): { readonly hint?: string } {
  return hint === undefined ? {} : { hint }
}

function mistakeHint(message: string, sql: string): string | undefined {
  if (isOfFullText(message, sql)) return `Quote what users type, as one phrase: '"' + text.replaceAll('"', '""') + '"'`
  if (!message.includes('near "?"')) return undefined
  return 'A bound value stands for a value only: put a name there with sql.identifier(name), a list in parentheses'
}

/** Whether the text of a full-text search isn't a query of FTS5. Messages that would show a bound value don't say so. */
function isOfFullText(message: string, sql: string): boolean {
  if (message.startsWith('fts5: syntax error') || message === 'unterminated string') return true
  return message === "SQLite can't read the text that a parameter holds" && /\bmatch\b/i.test(sql)
}

/** The hint for a value without a place, of a statement with a `?` in a text. */
function quotesHint(message: string, sql: string): string | undefined {
  const isInText = sql.match(/'[^']*'/g)?.some((text) => text.includes('?')) === true
  if (!isInText || !message.startsWith('There is no parameter')) return undefined
  return "A placeholder in quotes is text: write '%' || ? || '%' instead of '%?%'"
}

/** The hint for a parameter that is missing, or given in vain: the name that is almost the same on the other side. */
function typoHint(parameter: string, sql: string, names: string): string | undefined {
  const taken = parametersOf(sql)
  const given = names.split('\0')
  const isMissing = taken.has(parameter)
  const others = isMissing
    ? given.filter((name) => !taken.has(name))
    : [...taken].filter((name) => !given.includes(name))
  const other = closest(parameter, others)
  if (other === undefined) return undefined
  const [there, here] = isMissing ? [parameter, other] : [other, parameter]
  return `The statement has :${there}, the parameters have '${here}': did you mean the same?`
}

/** Returns the names of a statement's parameters. */
function parametersOf(sql: string): ReadonlySet<string> {
  const code = sql.replace(/'[^']*'|"[^"]*"|--.*|\/\*[\s\S]*?\*\//g, ' ')
  return new Set([...code.matchAll(/[:@$]([\p{L}\p{N}_$]+)/gu)].map(([, name]) => name as string))
}
