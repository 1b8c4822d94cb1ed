// Runs the command line of the built package.
import { execFile, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { LATE_TIER_UP } from '../e2e/v8.mjs'

/** The program. */
export const cli = fileURLToPath(new URL('../../pkg-js/dist/cli/main.js', import.meta.url))

/** Options of a process to which permissions apply: they don't to root. */
export const ordinaryUser = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}

/** The groups of commands, whose names are two words. */
const groups = ['migrate', 'schema', 'snapshot']
/** The commands that ran in a process of their own. */
const commands = new Set()
/** The processes that run the others, by user, and those that are running one. */
const hosts = new Map()
const busy = new Set()

/**
 * Runs a command in the folder `cwd` → { code, out, err }: `code` is the name of the signal that ended it, as after 120 s. Never rejects.
 * `env` adds to PATH and HOME, `signal` gets the process.
 *
 * In each test file the first command line of each command, and the first `--help`, is a process as a user starts it, and so is each one
 * with `signal`, other options or variables that Node reads. The others of a user share a process, since to start one takes more time than
 * most commands. With TIDELOCK_ALL=1 each is a process of its own.
 */
export function runCommand(args, { cwd, env, signal, timeout = 120_000, uid, gid, ...options }) {
  const { PATH, HOME } = process.env
  const given = { cwd, env: { PATH, HOME, ...env }, timeout, uid, gid }
  const name = args.slice(0, groups.includes(args[0]) ? 2 : 1).join(' ')
  const command = args.includes('--help') ? '--help' : name
  const isFirst = !commands.has(command)
  commands.add(command)
  const isSpecial = signal || 'NODE_OPTIONS' in given.env || Object.keys(options).length > 0
  if (!(isFirst || isSpecial || busy.has(uid) || process.env.TIDELOCK_ALL)) return inHost(args, given)
  const all = { ...given, maxBuffer: 1e8, killSignal: 'SIGKILL', ...options }
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [...LATE_TIER_UP, cli, ...args], all, (error, out, err) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), out, err }),
    )
    signal?.(child)
  })
}

/** Runs a command in the shared process, which is started again if it has ended. */
function inHost(args, { timeout, uid, gid, ...given }) {
  const used = hosts.get(uid) ?? startHost({ uid, gid })
  hosts.set(uid, used)
  busy.add(uid)
  used.channel.ref()
  const timer = setTimeout(() => used.kill('SIGKILL'), timeout)
  return new Promise((resolve) => {
    const finish = (result) => {
      clearTimeout(timer)
      used.removeAllListeners()
      used.channel?.unref()
      busy.delete(uid)
      resolve(result)
    }
    used.once('message', finish)
    used.once('exit', (code, signal) => {
      hosts.delete(uid)
      finish({ code: code ?? signal, out: '', err: '' })
    })
    used.send({ args, ...given })
  })
}

function startHost(user) {
  const program = fileURLToPath(new URL('command-host.mjs', import.meta.url))
  const child = fork(program, { ...user, execArgv: LATE_TIER_UP, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  child.unref()
  return child
}
