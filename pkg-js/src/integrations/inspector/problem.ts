// Shows errors: message, hint, code, and the place in a statement.
import { h } from './dom.js'

interface Described {
  readonly code?: string
  readonly message?: string
  readonly hint?: string
  readonly docs?: string
  readonly details?: Readonly<Record<string, unknown>>
}

/** The message of an error with its hint, as one text. */
export function errorText(error: unknown): string {
  const { message, hint } = error as Described
  return [message ?? String(error), hint].filter(Boolean).join('. ')
}

/** An error as an element; `sql`: the statement that its offset refers to. */
export function problem(error: unknown, sql?: string): HTMLElement {
  const { code, message, hint, docs, details } = error as Described
  const offset = details?.offset
  const place = sql !== undefined && typeof offset === 'number' && offset >= 0 ? placeIn(sql, offset) : undefined
  const codes = [code, details?.sqliteCode].filter(Boolean).join(' · ')
  return h(
    'div',
    { class: 'problem', role: 'alert' },
    h('strong', {}, message ?? String(error)),
    place,
    hint && h('p', {}, hint),
    codes !== '' &&
      h(
        'p',
        { class: 'soft' },
        codes,
        docs && ' ',
        docs && h('a', { href: docs, target: '_blank', rel: 'noreferrer' }, 'About this error'),
      ),
  )
}

/** The statement with a mark at the place of the error. SQLite counts bytes of UTF-8. */
function placeIn(sql: string, offset: number): HTMLElement {
  const before = new TextDecoder().decode(new TextEncoder().encode(sql).subarray(0, offset))
  const rest = sql.slice(before.length)
  const [word = ''] = rest.match(/^\w+|^[\s\S]/) ?? []
  return h('pre', { class: 'place' }, before.slice(-300), h('mark', {}, word || ' '), rest.slice(word.length, 300))
}
