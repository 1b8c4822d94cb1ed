// tidelock's own worker, which also says how large the memory of its wasm has become.

import 'tidelock/worker.js'
import { watchMemory } from '../suites/watch-memory.js'

const memory = watchMemory()
const channel = new BroadcastChannel('wasm-memory')
channel.onmessage = ({ data }) => {
  if (data === 'ask') channel.postMessage(memory())
}
