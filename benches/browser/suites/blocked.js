// How long the page's thread is kept from anything else.

/** Does `work` → `{ longest, total }` ms in which the page couldn't answer: of gaps of at least 1 ms in a beat as quick as it gets. */
export async function blocked(work) {
  const { port1, port2 } = new MessageChannel()
  let last = performance.now()
  let longest = 0
  let total = 0
  const beat = () => {
    const now = performance.now()
    const gap = now - last
    last = now
    longest = Math.max(longest, gap)
    if (gap >= 1) total += gap
  }
  let on = true
  port1.onmessage = () => {
    beat()
    if (on) port2.postMessage(0)
  }
  port2.postMessage(0)
  await new Promise((resolve) => setTimeout(resolve, 20))
  longest = 0
  total = 0
  last = performance.now()
  await work()
  // The work may end within a task that is still going on.
  await new Promise((resolve) => setTimeout(resolve, 0))
  beat()
  on = false
  port1.close()
  return { longest, total }
}
