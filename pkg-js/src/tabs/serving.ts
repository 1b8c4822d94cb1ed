import { isTidelockError, TidelockError } from '../base/errors.js'
import { layout } from '../engine/codec/rows.js'
import type { Done } from '../engine/work.js'
import type { Channel } from '../rpc/channel.js'
import type { PageMethods, Result, WorkerMethods } from '../rpc/protocol.js'

/** What calls reject with when whoever served them doesn't any more. */
export class Lost {}

/** Numbers that are the same whoever serves: of shapes, of live queries. */
export class Numbers {
  #last = 0

  next(): number {
    return ++this.#last
  }
}

/** Whoever serves this tab: its own engine, or the leader's; as long as that lasts. */
export class Serving {
  readonly channel: Channel<WorkerMethods, PageMethods>
  /** Whether writes are noted, so that somebody else can tell what became of them. */
  readonly notes: boolean
  /** Its own engine. */
  readonly own: boolean
  /** Asks whoever serves to let this tab lead. */
  readonly handOver: () => void
  /** It is about to stop. */
  leaving = false
  #ended = false
  readonly #numbers: Numbers
  readonly #shapes = new Map<number, { readonly shape: number; readonly columns: readonly string[] }>()
  /** Its numbers of live queries, and ours. */
  readonly watched = new Map<number, number>()

  constructor(
    channel: Channel<WorkerMethods, PageMethods>,
    numbers: Numbers,
    { notes, own, handOver }: { readonly notes: boolean; readonly own: boolean; handOver?(): void },
  ) {
    this.handOver = handOver ?? (() => {})
    this.channel = channel
    this.#numbers = numbers
    this.notes = notes
    this.own = own
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Whether a call failed because it serves no more, or must not: a leader that was frozen may not know yet that it was robbed. */
  isLost(error: unknown): boolean {
    return error instanceof Lost || (!this.own && isTidelockError(error, 'lock_lost'))
  }

  /** Nothing comes from it any more. */
  end(): void {
    this.#ended = true
    this.channel.end(new Lost())
  }

  /** Has it run something; see {@link WorkerMethods.run}. */
  async run(
    ...[work, ticket, limit, unit, signal]: [...Parameters<WorkerMethods['run']>, AbortSignal?]
  ): Promise<Done<Result>> {
    const done = await this.channel.ask('run', [work, ticket, limit, unit], { signal })
    return { ...done, results: done.results.map((result) => this.#result(result)) }
  }

  /** A result with the number that its column names have here, and with these. */
  #result(result: Result): Result {
    if (result.columns !== undefined)
      this.#shapes.set(result.shape, { shape: this.#numbers.next(), columns: result.columns })
    const known = this.#shapes.get(result.shape)
    if (known === undefined)
      throw new TidelockError('internal', 'A result came without its column names', {
        hint: 'Please report this error',
      })
    new Uint32Array(result.buffer, 0, layout.headerBytes / 4)[layout.shapeAt] = known.shape
    return { ...result, ...known }
  }
}
