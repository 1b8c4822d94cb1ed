#!/usr/bin/env node
import { Worker } from 'node:worker_threads'

/** A message of the main thread to the command: Ctrl-C was pressed. */
export type ToCommand = 'cancel'
/** A message of the command to the main thread: texts to print, that it is cancelling, or its exit code. */
export type FromCommand =
  | { readonly out: string }
  | { readonly err: string }
  | { readonly cancelling: true }
  | { readonly code: number }

/** The data that the thread of a command begins with. */
export interface CommandData {
  readonly args: readonly string[]
  /** The terminal that standard error goes to, for progress. */
  readonly terminal: { readonly isTTY?: boolean; readonly columns?: number }
}

/** How long a command may take to answer that it is cancelling, and then to end, in milliseconds. */
const grace = { answer: 200, end: 3000 }
/** The exit code of a command that Ctrl-C ended, by convention 128 and the number of the signal. */
const interruptedCode = 130

// The command runs in its own thread, because SQL would block this one: Ctrl-C would have no effect until it ends.
const args = process.argv.slice(2)
const { isTTY = false, columns = 80 } = process.stderr
const workerData: CommandData = { args, terminal: { isTTY, columns } }
const command = new Worker(new URL('./worker.js', import.meta.url), { workerData })
let state: 'running' | 'cancelled' | 'ended' | 'finished' = 'running'
let deadline: ReturnType<typeof setTimeout> | undefined

command.on('message', (message: FromCommand) => {
  if ('out' in message) process.stdout.write(message.out)
  else if ('err' in message) process.stderr.write(message.err)
  else if ('code' in message) {
    process.exitCode = state === 'cancelled' && message.code !== 0 ? interruptedCode : message.code
    state = 'finished'
    clearTimeout(deadline)
  } else endIn(grace.end)
})
command.on('error', (error) => endUnexpectedly(error.code ?? error.name))
// A thread with nothing left to wait for ends, although its command has no result.
command.on('exit', () => endUnexpectedly('it has no result'))
process.on('SIGINT', () => {
  // The second Ctrl-C doesn't wait.
  if (state !== 'running') return end()
  state = 'cancelled'
  command.postMessage('cancel' satisfies ToCommand)
  endIn(grace.answer)
})
// A reader of the output such as `head` may stop early: that is no error.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error) => {
    if (error.code !== 'EPIPE') throw error
  })

function endIn(milliseconds: number): void {
  clearTimeout(deadline)
  deadline = setTimeout(end, milliseconds)
}

/** Reports a command that ended by itself, without an exit code. */
function endUnexpectedly(reason: string): void {
  if (state === 'ended' || state === 'finished') return
  state = 'ended'
  clearTimeout(deadline)
  process.exitCode = 1
  const message = `The command ended unexpectedly: ${reason}`
  const error = { name: 'TidelockError', code: 'internal', message, retryable: false, details: {} }
  process.stderr.write(args.includes('--json') ? `${JSON.stringify({ error })}\n` : `error: ${message} (internal)\n`)
}

/** Ends the command wherever it is, also within SQL. Earlier commits are stored, and the lock of the database ends with this process. */
async function end(): Promise<void> {
  if (state === 'ended') return
  const isFinished = state === 'finished'
  state = 'ended'
  clearTimeout(deadline)
  await command.terminate()
  process.exitCode = interruptedCode
  if (isFinished) return
  const { printInterrupted } = await import('./commands.js')
  printInterrupted(args, { out: process.stdout, err: process.stderr })
}
