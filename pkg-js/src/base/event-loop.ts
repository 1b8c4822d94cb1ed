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
const callsPerLook = 8

let calls = 0
/** When the calls of this thread last yielded. */
let yieldedAt = 0
let yielding: Promise<void> | undefined

/** Returns the result of a call, which now and then comes after other tasks: a loop that awaits calls would otherwise never yield. */
export function takingTurns<T>(result: Promise<T>): Promise<T> {
  // Later results come after those that wait, as their calls did.
  if (yielding === undefined) {
    if (++calls < callsPerLook) return result
    calls = 0
    if (performance.now() - yieldedAt < turnMs) return result
    yielding = yieldToEventLoop().then(() => {
      yielding = undefined
      yieldedAt = performance.now()
    })
  }
  // It may be rejected before the caller gets it.
  result.catch(() => {})
  return yielding.then(() => result)
}
