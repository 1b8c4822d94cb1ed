import type { TidelockError } from './package.js'
import { remoteErrorOf } from './remote-error.js'

/** A destination of text. */
export interface Stream {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

/** The progress of a command. */
export interface Progress {
  /** Shows `done` of `total`; `total` is null while it is unknown. */
  show(what: string, done: number, total: number | null): void
  /** Clears the line. */
  end(): void
}

/**
 * Prints the result of a command on standard output, and everything else on standard error. Names and texts come from files and remotes, so
 * every text goes through `#safe`.
 */
export class Output {
  readonly json: boolean
  readonly #out: Stream
  readonly #err: Stream
  /** Texts that must never be printed. */
  readonly #secrets = new Set<string>()

  constructor(out: Stream, err: Stream, json: boolean) {
    this.#out = out
    this.#err = err
    this.json = json
  }

  /** Masks this text in everything that is printed from now on. */
  keepSecret(text: string | undefined): void {
    if (text) this.#secrets.add(text)
  }

  /** Prints a line of the result. */
  line(text = ''): void {
    this.#out.write(`${this.#safe(text)}\n`)
  }

  /** Prints several lines of the result, such as a module or a script. */
  lines(text: string): void {
    this.#out.write(`${visible(this.#masked(text), /[\n\t]/)}\n`)
  }

  /** Prints a line about the progress, except with `--json`. */
  note(text: string): void {
    if (!this.json) this.#err.write(`${this.#safe(text)}\n`)
  }

  /** Prints a warning. */
  warn(text: string): void {
    if (this.json) this.#jsonLine({ warning: text })
    else this.#err.write(`${this.#safe(`warning: ${text}`)}\n`)
  }

  /** Prints the result as JSON. */
  value(value: unknown): void {
    this.#out.write(`${visible(this.#json(value, 2), /\n/)}\n`)
  }

  /** Prints an error, with what a remote said about it. With `--json` it is one line of JSON. */
  failure(error: TidelockError): void {
    if (this.json) {
      this.#jsonLine({ error: error.toJSON() })
      return
    }
    const { message, code, details, hint } = remoteErrorOf(error) ?? {}
    // The message is mostly a part of the error's.
    const said =
      message === undefined || error.message.includes(message) ? code : [code, message].filter(Boolean).join(' ')
    for (const [name, text] of [
      ['error', `${error.message} (${error.code})`],
      ['cause', unsaid(this.#masked(error.toJSON().cause ?? ''), [error.message, message])],
      ['remote', said],
      ['remote details', details],
      ['remote hint', hint],
      ['hint', error.hint],
    ])
      if (text) this.#err.write(`${this.#safe(`${name}: ${text}`)}\n`)
  }

  /** Prints one line of JSON on standard error, so that standard output has only the result. */
  #jsonLine(value: unknown): void {
    this.#err.write(`${visible(this.#json(value))}\n`)
  }

  /** Returns a value as JSON. Secrets are masked in its strings only: a short secret may occur in the syntax of JSON. */
  #json(value: unknown, indent?: number): string {
    return JSON.stringify(value, (_, one) => (typeof one === 'string' ? this.#masked(one) : plain(one)), indent)
  }

  /** Returns a progress line; it is shown on a terminal only. */
  progress(): Progress {
    const terminal = this.#err
    if (this.json || !terminal.isTTY) return { show() {}, end() {} }
    let last = 0
    return {
      show: (what, done, total) => {
        const now = Date.now()
        if (now - last < 80 && done !== total) return
        last = now
        terminal.write(`\r\x1b[K${bar(this.#safe(what), done, total, terminal.columns ?? 80)}`)
      },
      end: () => terminal.write('\r\x1b[K'),
    }
  }

  /** Returns a text as one line, with secrets masked and without control characters, which a terminal would obey. */
  #safe(text: string): string {
    return visible(this.#masked(text))
  }

  #masked(text: string): string {
    // Longest first, because a shorter secret may be a part of a longer one.
    const secrets = [...this.#secrets].sort((one, other) => other.length - one.length)
    return secrets.reduce((masked, secret) => masked.replaceAll(secretIn(secret), '***'), text)
  }
}

/** Returns the first line of a cause, without the name of its class; undefined when one of the texts contains it. */
function unsaid(cause: string, said: readonly (string | undefined)[]): string | undefined {
  const [line = ''] = /^.{0,300}/u.exec(cause.replace(/^(Tidelock)?Error: /, '')) ?? []
  // Errors of the engine begin with their code.
  const withoutCode = line.replace(/^\w+: /, '')
  return said.some((text) => text?.includes(withoutCode)) ? undefined : line
}

/** Returns the pattern of a secret. A very short one matches as a whole word only, because it is a part of many words. */
function secretIn(secret: string): string | RegExp {
  if (secret.length > 3) return secret
  return new RegExp(`(?<!\\w)${secret.replace(/[^\w\s]/g, '\\$&')}(?!\\w)`, 'g')
}

/** Escapes control characters, line ends and marks of writing direction, which a terminal would obey, except those in `kept`. */
export function visible(text: string, kept?: RegExp): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, (character) =>
    kept?.test(character) ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Formats a progress line: `orders  [#####.....]  5,000 / 10,000`. */
function bar(what: string, done: number, total: number | null, columns: number): string {
  const count = done.toLocaleString('en-US')
  if (total === null || total === 0) return `${what}  ${count} rows`
  const text = `  ${count} / ${total.toLocaleString('en-US')}`
  const room = Math.min(40, columns - what.length - text.length - 5)
  if (room < 5) return `${what}${text}`
  const full = Math.min(room, Math.floor((room * done) / total))
  return `${what}  [${'#'.repeat(full)}${'.'.repeat(room - full)}]${text}`
}

/** Converts values that JSON lacks. */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') }
  return value
}
