// Runs the command of a step of scripts/test.mjs, and ends it with all its child processes after a timeout.
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'

/** The running steps. */
const running = new Set()

/**
 * Runs a command with its output in the file `log` → `{ code, late }`. `late` is true when it exceeded `longestMs` and was ended. With
 * `until` it is ended, too, once a line of its standard output matches that. Never rejects.
 *
 * The command gets its own process group: ending cargo alone would leave its test binary running.
 */
export async function runStep([program, ...words], { log, env = {}, longestMs, until }) {
  const out = createWriteStream(log)
  const child = spawn(program, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    detached: true,
  })
  running.add(child)
  child.stdout.pipe(out, { end: false })
  child.stderr.pipe(out, { end: false })
  const end = () => {
    signalGroup(child, 'SIGKILL')
    // A process that left the group may keep the pipes open.
    child.stdout.destroy()
    child.stderr.destroy()
  }
  if (until) createInterface(child.stdout).on('line', (line) => until.test(line) && end())
  let late = false
  const timer = setTimeout(() => {
    late = true
    end()
  }, longestMs)
  const code = await new Promise((resolve) => {
    child.once('error', (error) => {
      out.write(String(error))
      resolve(null)
    })
    child.once('close', resolve)
  })
  clearTimeout(timer)
  running.delete(child)
  if (late) out.write(`\n${endedBy(longestMs)}\n`)
  await new Promise((resolve) => out.end(resolve))
  return { code, late }
}

/** Returns the message about a step that was ended. */
export function endedBy(longestMs) {
  return `ended by the limit of ${longestMs / 60_000} minutes`
}

/** Forwards a signal to all running steps: a terminal's Ctrl-C doesn't reach other process groups. */
export function signalSteps(signal) {
  for (const child of running) signalGroup(child, signal)
}

function signalGroup({ pid }, signal) {
  try {
    process.kill(-pid, signal)
  } catch {} // it has just ended
}
