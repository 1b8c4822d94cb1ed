import { parentPort, workerData } from 'node:worker_threads'
import { interrupted, runCommandLine } from './commands.js'
import type { FromCommand, ToCommand } from './main.js'

// The thread that runs a command line. Its SQL may block it for long; meanwhile the main thread can still react to Ctrl-C.

const { args, terminal } = workerData
const post = (message: FromCommand) => parentPort.postMessage(message)
const abort = new AbortController()
parentPort.on('message', (_: ToCommand) => {
  post({ cancelling: true })
  abort.abort(interrupted())
})
// The thread ends when the command has nothing more to do.
parentPort.unref()

const code = await runCommandLine(args, {
  out: { write: (out) => post({ out }) },
  err: { write: (err) => post({ err }), ...terminal },
  env: process.env,
  signal: abort.signal,
})
post({ code })
