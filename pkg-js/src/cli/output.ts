import type { TidelockError } from './tidelock.js'

/** Where text goes. */
export interface Stream {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

/** How far something has come. */
export interface Progress {
  /** Of `total` so many are done; `total` is null while nobody knows. */
  show(what: string, done: number, total: number | null): void
  /** Clears the line. */
  end(): void
}

/**
 * What a command says: its answer on the standard output, everything else on the other one. Names and texts come from files and remotes:
 * whatever is said goes through `#safe`.
 */
export class Output {
  readonly json: boolean
  readonly #out: Stream
  readonly #err: Stream
  /** What must never be printed. */
  readonly #secrets = new Set<string>()

  constructor(out: Stream, err: Stream, json: boolean) {
    this.#out = out
    this.#err = err
    this.json = json
  }

  /** From now on this text is never printed, wherever it turns up. */
  keepSecret(text: string | undefined): void {
    if (text) this.#secrets.add(text)
  }

  /** A line of the answer. */
  line(text = ''): void {
    this.#out.write(`${this.#safe(text)}\n`)
  }

  /** Several lines of the answer, as a module or a script has them. */
  lines(text: string): void {
    this.#out.write(`${visible(this.#masked(text), /[\n\t]/)}\n`)
  }

  /** A line about what is going on; left out when programs read. */
  note(text: string): void {
    if (!this.json) this.#err.write(`${this.#safe(text)}\n`)
  }

  /** Something that the user must know. */
  warn(text: string): void {
    this.#err.write(`${this.#safe(`warning: ${text}`)}\n`)
  }

  /** The answer, for programs. Secrets are masked in its texts: a short one may occur in what JSON itself consists of. */
  value(value: unknown): void {
    const json = JSON.stringify(value, (_, one) => (typeof one === 'string' ? this.#masked(one) : plain(one)), 2)
    this.#out.write(`${visible(json, /\n/)}\n`)
  }

  /** Why it failed: for programs as JSON on the standard output, since that is what they read. */
  failure(error: TidelockError): void {
    if (this.json) {
      this.value({ error: error.toJSON() })
      return
    }
    this.#err.write(`${this.#safe(`error: ${error.message} (${error.code})`)}\n`)
    if (error.hint !== undefined) this.#err.write(`${this.#safe(`hint: ${error.hint}`)}\n`)
  }

  /** A line that changes while something goes on; on a terminal only. */
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

  /** One line without secrets and without what a terminal obeys. */
  #safe(text: string): string {
    return visible(this.#masked(text))
  }

  #masked(text: string): string {
    // The longest first: a shorter one may be a part of it.
    const secrets = [...this.#secrets].sort((one, other) => other.length - one.length)
    return secrets.reduce((masked, secret) => masked.replaceAll(secretIn(secret), '***'), text)
  }
}

/** Where a secret stands in a text: a very short one as a word only, since it is a part of many. */
function secretIn(secret: string): string | RegExp {
  if (secret.length > 3) return secret
  return new RegExp(`(?<!\\w)${secret.replace(/[^\w\s]/g, '\\$&')}(?!\\w)`, 'g')
}

/** Shows control characters, line ends and marks of writing direction as JSON escapes: a terminal obeys them; `kept` ones stay. */
export function visible(text: string, kept?: RegExp): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, (character) =>
    kept?.test(character) ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** `orders  [#####.....]  5,000 / 10,000` */
export function bar(what: string, done: number, total: number | null, columns: number): string {
  const count = done.toLocaleString('en-US')
  if (total === null || total === 0) return `${what}  ${count} rows`
  const text = `  ${count} / ${total.toLocaleString('en-US')}`
  const room = Math.min(40, columns - what.length - text.length - 5)
  if (room < 5) return `${what}${text}`
  const full = Math.min(room, Math.floor((room * done) / total))
  return `${what}  [${'#'.repeat(full)}${'.'.repeat(room - full)}]${text}`
}

/** What JSON has no form for. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') }
  return value
}
