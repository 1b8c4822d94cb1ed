// The worker of ours: a database that the page calls by messages (remote.js), or a suite's round that runs here, beside its engine.

import { roundHere } from '../suites/here.js'
import { load, openHere } from './index.js'

let db
const does = {
  async open({ engine, name }) {
    await load(engine)
    db = await openHere(engine, name)
  },
  async call({ method, given }) {
    const result = await db[method](...given)
    return method === 'exec' || method === 'close' ? undefined : result
  },
  round: ({ suite, engine, scale, part, server }) => roundHere(suite, engine, scale, part, { server }),
}

addEventListener('message', async ({ data: { id, type, ...message } }) => {
  if (!Object.hasOwn(does, type)) return
  try {
    postMessage({ id, result: await does[type](message) })
  } catch (error) {
    postMessage({ id, error: String(error?.stack ?? error) })
  }
})
