// Runs what the page wants to run beside the engine. The package's messages pass by.
const undo = new Map()

async function run({ id, source, args }) {
  const result = await new Function(`return (${source})`)()(...args)
  if (typeof result !== 'function') return result
  undo.set(id, result)
}

addEventListener('message', (event) => {
  if (event.data?.rig === undefined) return
  event.stopImmediatePropagation()
  event.data.before.forEach(run)
  event.data.rig.onmessage = async ({ data: { work, undo: id, reply } }) => {
    try {
      reply.postMessage({ value: await (work ? run(work) : undo.get(id)?.()) })
    } catch (error) {
      reply.postMessage({ error: String(error?.stack ?? error) })
    }
  }
})
