// Runs the command line of the built package.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { LATE_TIER_UP } from '../e2e/v8.mjs'

/** The program. */
export const cli = fileURLToPath(new URL('../../pkg-js/dist/cli/main.js', import.meta.url))

/** Options of a process to which permissions apply: they don't to root. */
export const ordinaryUser = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}

/**
 * Runs a command in the folder `cwd` → { code, out, err }: `code` is the name of the signal that ended it, as after 120 s. Never rejects.
 * `env` adds to PATH and HOME, `signal` gets the process.
 */
export function runCommand(args, { cwd, env, signal, ...options }) {
  const { PATH, HOME } = process.env
  const all = { cwd, env: { PATH, HOME, ...env }, maxBuffer: 1e8, timeout: 120_000, killSignal: 'SIGKILL', ...options }
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [...LATE_TIER_UP, cli, ...args], all, (error, out, err) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), out, err }),
    )
    signal?.(child)
  })
}
