import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { TidelockError } from './tidelock.js'

/** A text has no more bytes than this. */
const longestText = 64 * 2 ** 20

/**
 * The bytes of a file, at most so many. What isn't an ordinary file is refused: it may have no end, or block this process, which Ctrl-C
 * can't reach then. `pipes`: it may be one, as the shell makes them of `<(command)`. Fails with `invalid_argument`.
 */
export function readBytes(file: string, most: number, pipes = false): Uint8Array<ArrayBuffer> {
  try {
    // Opening a pipe would wait for a process that writes into it.
    const opened = openSync(file, constants.O_RDONLY | (pipes ? 0 : (constants.O_NONBLOCK ?? 0)))
    try {
      const found = fstatSync(opened)
      if (!found.isFile() && !(pipes && found.isFIFO())) throw new Error('it is no ordinary file')
      if (found.size > most) throw new Error(`it has more than ${most} bytes`)
      return readUpTo(opened, found.size, most)
    } finally {
      closeSync(opened)
    }
  } catch (cause) {
    throw new TidelockError('invalid_argument', `${file} can't be read: ${(cause as Error).message}`, {
      cause,
      details: { file },
    })
  }
}

/** Up to its end, which may be elsewhere than its size says. */
function readUpTo(opened: number, size: number, most: number): Uint8Array<ArrayBuffer> {
  let bytes = new Uint8Array(size + 1)
  let length = 0
  for (;;) {
    const read = readSync(opened, bytes, length, bytes.length - length, null)
    if (read === 0) return bytes.subarray(0, length)
    length += read
    if (length > most) throw new Error(`it has more than ${most} bytes`)
    if (length === bytes.length) {
      const longer = new Uint8Array(Math.min(2 * length + 65536, most + 1))
      longer.set(bytes)
      bytes = longer
    }
  }
}

/** The text of a file; `invalid_argument` when it can't be read. `pipes`: as of {@link readBytes}. */
export function readText(file: string, pipes = false): string {
  return new TextDecoder().decode(readBytes(file, longestText, pipes))
}

/** The error for a file or folder that was named and can't be used. */
export function unusable(message: string, hint?: string): TidelockError {
  return new TidelockError('invalid_argument', message, { hint })
}
