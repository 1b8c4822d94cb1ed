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

/** What a command says: its answer on the standard output, everything else on the other one. */
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
    if (text !== undefined && text.length >= 8) this.#secrets.add(text)
  }

  /** A line of the answer. */
  line(text = ''): void {
    this.#out.write(`${this.#without(text)}\n`)
  }

  /** A line about what is going on; left out when programs read. */
  note(text: string): void {
    if (!this.json) this.#err.write(`${this.#without(text)}\n`)
  }

  /** Something that the user must know. */
  warn(text: string): void {
    this.#err.write(`${this.#without(`warning: ${text}`)}\n`)
  }

  /** The answer, for programs. */
  value(value: unknown): void {
    this.line(JSON.stringify(value, plain, 2))
  }

  /** Why it failed: for programs as JSON on the standard output, since that is what they read. */
  failure(error: TidelockError): void {
    if (this.json) {
      this.value({ error: error.toJSON() })
      return
    }
    this.#err.write(this.#without(`error: ${error.message} (${error.code})\n`))
    if (error.hint !== undefined) this.#err.write(this.#without(`hint: ${error.hint}\n`))
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
        terminal.write(`\r\x1b[K${bar(what, done, total, terminal.columns ?? 80)}`)
      },
      end: () => terminal.write('\r\x1b[K'),
    }
  }

  #without(text: string): string {
    let safe = text
    for (const secret of this.#secrets) safe = safe.replaceAll(secret, '***')
    return safe
  }
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
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') }
  return value
}
