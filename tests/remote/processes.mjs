// The processes and the folder of one remote, and their certain end.
//
// A guard (`sh`, in a session of its own) reads the pids from a pipe that only this process holds. However this process
// ends (exit, Ctrl-C, an uncaught error, kill -9), the pipe closes, and the guard stops the children and removes the folder.
import { spawn } from 'node:child_process'
import { chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const GUARD = `
runs() { case "$(cat "/proc/$1/stat" 2>/dev/null)" in '' | *') Z '*) return 1 ;; esac; }
pids=
while read -r line; do
  [ "$line" = done ] && exit 0
  pids="$pids $line"
done
# QUIT ends PostgreSQL at once, TERM the others
for pid in $pids; do kill -QUIT "$pid"; kill -TERM "$pid"; done 2>/dev/null
for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  alive=
  for pid in $pids; do runs "$pid" && alive=yes; done
  [ -z "$alive" ] && break
  sleep 0.1
done
for pid in $pids; do runs "$pid" && kill -KILL "$pid"; done
rm -rf "$1"
`

/** Whom to run as when this process is root, which PostgreSQL refuses to be: `nobody`. Undefined: as we are. */
export function unprivileged() {
  if (process.getuid() !== 0) return undefined
  const entry = readFileSync('/etc/passwd', 'utf8').match(/^nobody:[^:]*:(\d+):(\d+):/m)
  if (!entry) throw new Error('PostgreSQL refuses to run as root, and there is no user "nobody" to run it as')
  return { uid: Number(entry[1]), gid: Number(entry[2]) }
}

/** A temporary folder with the processes that live in it. */
export class Processes {
  #children = []
  #guard

  constructor() {
    this.identity = unprivileged()
    this.folder = mkdtempSync(path.join(tmpdir(), 'tidelock-remote-'))
    if (this.identity) chownSync(this.folder, this.identity.uid, this.identity.gid)
    this.#guard = spawn('/bin/sh', ['-c', GUARD, 'guard', this.folder], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#guard.stdin.on('error', () => {})
    this.#guard.unref()
    this.#guard.stdin.unref?.()
  }

  /** Runs a program that ends by itself; rejects with what it printed when it fails. */
  run(command, args) {
    return new Promise((resolve, reject) => {
      const child = spawn(command, args, { ...this.identity, cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      child.stdout.on('data', (data) => (output += data))
      child.stderr.on('data', (data) => (output += data))
      child.once('error', reject)
      child.once('close', (code) =>
        code === 0 ? resolve(output) : reject(new Error(`${path.basename(command)} ended with ${code}: ${output}`)),
      )
    })
  }

  /**
   * Starts a program that runs until `stop`.
   * `signal` asks it to end; `onOutput` gets what it prints; `failed` is a promise that rejects if it ends unasked; `end` ends it.
   */
  start(command, args, { env = {}, signal = 'SIGTERM', onOutput = () => {} } = {}) {
    const child = spawn(command, args, {
      ...this.identity,
      cwd: this.folder,
      detached: true, // Ctrl-C in the terminal must not reach it before we stop it in order
      env: { PATH: process.env.PATH, LANG: 'C', TZ: 'UTC', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let tail = ''
    const seen = (data) => {
      tail = (tail + data).slice(-4000)
      onOutput(String(data))
    }
    child.stdout.on('data', seen)
    child.stderr.on('data', seen)
    const ended = new Promise((resolve) => child.once('exit', resolve))
    const failed = new Promise((_, reject) => {
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`${path.basename(command)} ended with ${code}: ${tail}`)))
    })
    failed.catch(() => {}) // only those who wait for it want to know
    if (child.pid) this.#guard.stdin.write(`${child.pid}\n`)
    const end = async () => {
      if (!child.pid || child.exitCode !== null || child.signalCode !== null) return
      child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
      await ended
      clearTimeout(timer)
    }
    this.#children.push(end)
    return { pid: child.pid, failed, end }
  }

  /** Stops the programs, the last one first, and removes the folder. */
  async stop() {
    for (const end of this.#children.reverse()) await end()
    this.#children = []
    rmSync(this.folder, { recursive: true, force: true })
    this.#guard.ref()
    const guardEnded = new Promise((resolve) => this.#guard.once('exit', resolve))
    if (this.#guard.exitCode === null) {
      this.#guard.stdin.end('done\n')
      await guardEnded
    }
  }
}
