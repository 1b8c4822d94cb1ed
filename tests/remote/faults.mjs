// Trouble on demand: what can go wrong between a browser and Supabase, asked for by a test.

/**
 * One kind of trouble. `times` (default 1) requests that match get it, after the first `skip` that match.
 * Which match: `method`, `path` (a RegExp over path and query), `table`; those left out match all. The trouble, one or several of:
 * - `status`, with `headers` and `body` (an object becomes JSON): answered by the gateway itself;
 * - `delayMs`: the answer comes that much later;
 * - `drop`: the connection ends before any answer;
 * - `cut`: the connection breaks after this fraction (0 to 1) of the body;
 * - `truncate`: the body ends cleanly after this fraction, as some proxies do;
 * - `bytesPerSecond`: the body comes slowly;
 * - `lostReply`: the request takes effect, its answer never arrives.
 * @typedef {{ method?: string, path?: RegExp, table?: string, times?: number, skip?: number, status?: number,
 *   headers?: Record<string, string>, body?: unknown, delayMs?: number, drop?: boolean, cut?: number, truncate?: number,
 *   bytesPerSecond?: number, lostReply?: boolean }} Fault
 */

/** The troubles that wait for their request. */
export class Faults {
  #waiting = []
  /** How many requests met one. */
  met = 0

  /** @param {Fault} fault @returns {{ readonly met: number, remove(): void }} */
  add(fault) {
    const entry = { fault, skip: fault.skip ?? 0, left: fault.times ?? 1, met: 0 }
    this.#waiting.push(entry)
    return {
      get met() {
        return entry.met
      },
      remove: () => {
        this.#waiting = this.#waiting.filter((other) => other !== entry)
      },
    }
  }

  clear() {
    this.#waiting = []
  }

  /** The trouble of this request, if any; the gateway asks once a request. */
  take({ method, path, table }) {
    for (const entry of this.#waiting) {
      const { fault } = entry
      if (fault.method && fault.method !== method) continue
      if (fault.table && fault.table !== table) continue
      if (fault.path && !fault.path.test(path)) continue
      if (entry.skip > 0) {
        entry.skip--
        continue
      }
      if (entry.left <= 0) continue
      entry.left--
      entry.met++
      this.met++
      return fault
    }
    return undefined
  }
}
