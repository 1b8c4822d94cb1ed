/** Yields to the event loop, so that pending tasks run. It uses no timer, because browsers delay nested timers more and more. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(undefined)
  })
}

/** How long calls that never wait may keep other tasks waiting: timers, other requests, the lock of a folder, the page itself. */
const turnMs = 16
/** The number of calls between two looks at the clock, which take time, too. */
const callsPerLook = 4

let calls = 0
/** When the calls of this thread last yielded. */
let yieldedAt = 0
let yielding: Promise<void> | undefined

/**
 * Returns what a call awaits before it gives its result: nothing mostly, and other tasks now and then, since a loop that awaits calls would
 * never yield. Later calls wait, too, so that results come in their order.
 */
export function turnDue(): Promise<void> | undefined {
  if (yielding !== undefined) return yielding
  if (++calls < callsPerLook) return undefined
  calls = 0
  if (performance.now() - yieldedAt < turnMs) return undefined
  yielding = yieldToEventLoop().then(() => {
    yielding = undefined
    yieldedAt = performance.now()
  })
  return yielding
}
