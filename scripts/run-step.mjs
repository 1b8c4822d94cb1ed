// Runs the command of a step of scripts/test.mjs, and ends it with all that it started when it takes too long.
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'

/** The steps that are under way. */
const running = new Set()

/**
 * Runs a command, its output in the file `log` → `{ code, late }`. `late`: it was ended, after `longestMs`. Never rejects.
 *
 * It gets a process group of its own: ending cargo alone would leave its test binary running.
 */
export async function runStep([program, ...words], { log, env = {}, longestMs }) {
  const out = createWriteStream(log)
  const child = spawn(program, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    detached: true,
  })
  running.add(child)
  child.stdout.pipe(out, { end: false })
  child.stderr.pipe(out, { end: false })
  let late = false
  const timer = setTimeout(() => {
    late = true
    signalGroup(child, 'SIGKILL')
    // A process that left the group may hold the pipes open.
    child.stdout.destroy()
    child.stderr.destroy()
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

/** What is said of a step that was ended. */
export function endedBy(longestMs) {
  return `ended by the limit of ${longestMs / 60_000} minutes`
}

/** Passes a signal on to all that runs: a terminal's Ctrl-C doesn't reach groups other than its own. */
export function signalSteps(signal) {
  for (const child of running) signalGroup(child, signal)
}

function signalGroup({ pid }, signal) {
  try {
    process.kill(-pid, signal)
  } catch {} // it has just ended
}
