import { isTidelockError, TidelockError } from '../base/errors.js'
import { layout } from '../engine/codec/layout.js'
import type { WorkResult } from '../engine/work.js'
import type { Channel } from '../rpc/channel.js'
import type { PackedResult, PageMethods, WorkerMethods } from '../rpc/protocol.js'

/** The rejection of calls whose engine serves this tab no more. */
export class EngineLost {}

/** Ids that stay the same when another engine takes over: of permits, shapes and live queries. */
export class IdSequence {
  #last = 0

  next(): number {
    return ++this.#last
  }
}

/** The engine that serves this tab, its own or the leader's, for as long as it does. */
export class ServingEngine {
  readonly channel: Channel<WorkerMethods, PageMethods>
  /** Whether write ids are recorded, so that another engine knows whether a write was applied. */
  readonly recordsWrites: boolean
  /** Whether it is this tab's own engine. */
  readonly isOwn: boolean
  /** Asks the leader to let this tab lead. */
  readonly handOver: () => void
  /** Whether it is about to close. */
  isLeaving = false
  #ended = false
  readonly #ids: IdSequence
  readonly #shapes = new Map<number, { readonly shape: number; readonly columns: readonly string[] }>()
  /** Ids of live queries: the engine's → this tab's. */
  readonly watched = new Map<number, number>()

  constructor(
    channel: Channel<WorkerMethods, PageMethods>,
    ids: IdSequence,
    { recordsWrites, isOwn, handOver }: { readonly recordsWrites: boolean; readonly isOwn: boolean; handOver?(): void },
  ) {
    this.handOver = handOver ?? (() => {})
    this.channel = channel
    this.#ids = ids
    this.recordsWrites = recordsWrites
    this.isOwn = isOwn
  }

  /** Returns the engine's id of a live query; `undefined` if it is not watched there. */
  watchedAs(localId: number): number | undefined {
    return [...this.watched].find(([, id]) => id === localId)?.[0]
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Whether a call failed because this engine serves no more, or soon won't: its lock was stolen. */
  isLost(error: unknown): boolean {
    return error instanceof EngineLost || isTidelockError(error, 'lock_lost')
  }

  /** Rejects its pending calls with {@link EngineLost}. */
  end(): void {
    this.#ended = true
    this.channel.end(new EngineLost())
  }

  /** Runs work: see {@link WorkerMethods.run}. */
  async run(
    ...[work, permitId, limit, writeId, signal]: [...Parameters<WorkerMethods['run']>, AbortSignal?]
  ): Promise<WorkResult<PackedResult>> {
    const done = await this.channel.ask('run', [work, permitId, limit, writeId], { signal })
    return { ...done, results: done.results.map((result) => this.#result(result)) }
  }

  /** Replaces the shape id of a result with this tab's id, and adds the column names. */
  #result(result: PackedResult): PackedResult {
    if (result.columns !== undefined)
      this.#shapes.set(result.shape, { shape: this.#ids.next(), columns: result.columns })
    const known = this.#shapes.get(result.shape)
    if (known === undefined)
      throw new TidelockError('internal', 'A result came without its column names', {
        hint: 'Please report this error',
      })
    new Uint32Array(result.buffer, 0, layout.headerBytes / 4)[layout.shapeAt] = known.shape
    return { ...result, ...known }
  }
}
