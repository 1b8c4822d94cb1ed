// Runs the cases of one target in a child process, and limits the processor time, duration and memory of each case.
import { fork } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** How much processor time a case may take: unlike its duration, it doesn't grow when other programs keep the machine or its disk busy. */
const MOST_CPU_MS = 15_000
/** A case that takes this long waits for something that never comes. */
const LONGEST_MS = 120_000
/** How much additional memory a case may take. */
const MOST_BYTES = 768 * 2 ** 20
/** A process with more memory than this is replaced. */
const LARGE_BYTES = 1536 * 2 ** 20

export class Watched {
  #name
  #folder
  #child
  #heard = () => {}

  constructor(name, folder) {
    this.#name = name
    this.#folder = folder
  }

  /** Runs the case `{ seed }` or `{ input }`; returns `{ input, failure, outcome }`, where `failure` is undefined if the case passed. */
  async run(what) {
    if (this.#child !== undefined && residentBytes(this.#child.pid) > LARGE_BYTES) this.stop()
    if (this.#child === undefined) await this.#start()
    const child = this.#child
    const before = residentBytes(child.pid)
    const cpuBefore = cpuMs(child.pid)
    return new Promise((resolve) => {
      let input = what.input
      const end = (failure, outcome) => {
        clearTimeout(late)
        clearInterval(watch)
        if (failure !== undefined) this.stop()
        resolve({ input, failure, outcome })
      }
      const late = setTimeout(() => end(`It took more than ${LONGEST_MS / 1000} s`), LONGEST_MS)
      const watch = setInterval(() => {
        const more = residentBytes(child.pid) - before
        if (more > MOST_BYTES) end(`It took ${Math.round(more / 2 ** 20)} MiB of memory`)
        if (cpuMs(child.pid) - cpuBefore > MOST_CPU_MS)
          end(`It took more than ${MOST_CPU_MS / 1000} s of processor time`)
      }, 100)
      this.#heard = (message) => {
        if ('input' in message) input = message.input
        if ('died' in message) end(`The process ended with ${message.died}`)
        if ('ended' in message) end(message.failure, message.outcome)
      }
      child.send(what)
    })
  }

  /** Ends the process. */
  stop() {
    this.#heard = () => {}
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  #start() {
    const child = fork(path.join(import.meta.dirname, 'child.mjs'), [this.#name, this.#folder], {
      execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child = child
    return new Promise((resolve, reject) => {
      this.#heard = (message) => ('ready' in message ? resolve() : reject(new Error(`${this.#name} didn't start`)))
      child.on('message', (message) => child === this.#child && this.#heard(message))
      child.on('exit', (code, signal) => child === this.#child && this.#heard({ died: signal ?? `code ${code}` }))
    })
  }
}

/** Returns the resident memory of a process in bytes; 0 on a system without /proc. */
function residentBytes(pid) {
  const file = `/proc/${pid}/statm`
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split(' ')[1]) * 4096 : 0
}

/** Returns the processor time that a process has taken, in milliseconds; 0 on a system without /proc. */
function cpuMs(pid) {
  const file = `/proc/${pid}/stat`
  if (!existsSync(file)) return 0
  // The fields after the name, which may contain spaces: utime and stime are the 14th and 15th of all, in hundredths of a second.
  const fields = readFileSync(file, 'utf8').split(') ').at(-1).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}
