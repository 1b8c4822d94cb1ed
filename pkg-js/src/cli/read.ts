import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { CommandError } from './errors.js'

/** The longest text file, in bytes. */
const maxTextBytes = 64 * 2 ** 20

/**
 * Reads a file of at most `maxBytes` bytes. Only regular files are allowed: another one may have no end, or block this process so that
 * Ctrl-C doesn't work. With `pipes` it may be a pipe, as in `<(command)` of the shell. Throws `invalid_argument`.
 */
export function readBytes(file: string, maxBytes: number, pipes = false): Uint8Array<ArrayBuffer> {
  return withOpen(file, pipes, (opened, size) => {
    if (size > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`)
    return readUpTo(opened, size, maxBytes)
  })
}

/** Reads the first bytes of a regular file, `length` at most. Throws `invalid_argument`. */
export function readStart(file: string, length: number): Uint8Array<ArrayBuffer> {
  return withOpen(file, false, (opened) => {
    const bytes = new Uint8Array(length)
    return bytes.subarray(0, readSync(opened, bytes, 0, length, 0))
  })
}

/** Runs `read` with an open file and its size. Throws `invalid_argument`, with the message of what fails. */
function withOpen<T>(file: string, pipes: boolean, read: (opened: number, size: number) => T): T {
  try {
    // Opening a pipe would wait for a process that writes into it.
    const opened = openSync(file, constants.O_RDONLY | (pipes ? 0 : (constants.O_NONBLOCK ?? 0)))
    try {
      const found = fstatSync(opened)
      if (!found.isFile() && !(pipes && found.isFIFO())) throw new Error('it is not a regular file')
      return read(opened, found.size)
    } finally {
      closeSync(opened)
    }
  } catch (cause) {
    throw new CommandError('invalid_argument', `${file} can't be read: ${(cause as Error).message}`, {
      cause,
      details: { file },
    })
  }
}

/** Reads an open file to its end, which may differ from its size. */
function readUpTo(opened: number, size: number, maxBytes: number): Uint8Array<ArrayBuffer> {
  let bytes = new Uint8Array(size + 1)
  let length = 0
  for (;;) {
    const read = readSync(opened, bytes, length, bytes.length - length, null)
    if (read === 0) return bytes.subarray(0, length)
    length += read
    if (length > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`)
    if (length === bytes.length) {
      const longer = new Uint8Array(Math.min(2 * length + 65536, maxBytes + 1))
      longer.set(bytes)
      bytes = longer
    }
  }
}

/** Reads the text of a file, see {@link readBytes}. Throws `invalid_argument`. */
export function readText(file: string, pipes = false): string {
  return new TextDecoder().decode(readBytes(file, maxTextBytes, pipes))
}
