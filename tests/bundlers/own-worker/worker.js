import { outcomeOf } from './visit.js'

addEventListener('message', async ({ data }) => postMessage(await outcomeOf(data)))
