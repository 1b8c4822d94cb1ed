import { isA } from '../base/brand.js'
import { checkObject, checkString } from '../base/check.js'
import { invalid, type TidelockError } from '../base/errors.js'
import { bytesOfPassphrase, webCrypto } from '../base/web-crypto.js'

/**
 * A key of sensitive columns: 32 random bytes, a `CryptoKey` of 256 bits that may be exported, or a passphrase with a salt, from which
 * PBKDF2-HMAC-SHA256 makes one in 600,000 rounds. Each gives the same key wherever it is used again, in other languages, too. A salt has
 * at least 8 bytes, or characters, and should be another one for each user, as their id: passphrases can't be tried on all at once then.
 */
export type ColumnKey = CryptoKey | Uint8Array | { readonly passphrase: string; readonly salt: string | Uint8Array }

const keyBytes = 32
const leastSaltBytes = 8

/** Throws what {@link columnKeys} rejects with. */
function check(option: unknown): void {
  const keys = listed(option)
  if (keys.length === 0) throw wrong('columnKey needs at least one key')
  for (const key of keys) {
    if (isA(key, 'Uint8Array')) {
      if (key.length === keyBytes) continue
      throw wrong(`columnKey must have ${keyBytes} bytes, not ${key.length}`, randomKey)
    }
    if (isA(key, 'CryptoKey')) {
      if (key.type !== 'secret' || !key.extractable)
        throw wrong(
          'columnKey must be a CryptoKey that may be exported: SQL functions are synchronous, and WebCrypto is not',
          'Make it with extractable: true, or give its bytes. The option encryption takes any CryptoKey, for all that is stored here',
        )
    } else {
      const { passphrase, salt } = checkObject('columnKey', key, ['passphrase', 'salt'])
      checkString('columnKey.passphrase', passphrase)
      if ((typeof salt !== 'string' && !isA(salt, 'Uint8Array')) || bytesOf(salt).length < leastSaltBytes)
        throw wrong(
          `columnKey.salt must be a string or a Uint8Array of at least ${leastSaltBytes} bytes`,
          'The same one on each device and on each server that is to read the columns, and another one for each user',
        )
    }
    webCrypto('A Uint8Array as columnKey needs none')
  }
}

/**
 * The keys of the option `columnKey`, 32 bytes each: copies. Rejects with `invalid_argument`, and with `unsupported_environment` where
 * there is no WebCrypto for a passphrase or a CryptoKey.
 */
export async function columnKeys(option: ColumnKey | readonly ColumnKey[]): Promise<Uint8Array[]> {
  check(option)
  return Promise.all(
    listed(option).map(async (key) => {
      if (isA(key, 'Uint8Array')) return key.slice()
      const bytes = isA(key, 'CryptoKey') ? await exported(key) : await derived(key)
      if (bytes.length === keyBytes) return bytes
      throw wrong(`columnKey must have ${keyBytes} bytes, not ${bytes.length}`, randomKey)
    }),
  )
}

const randomKey = 'crypto.getRandomValues(new Uint8Array(32)) makes one'

async function exported(key: CryptoKey): Promise<Uint8Array> {
  try {
    return new Uint8Array(await crypto.subtle.exportKey('raw', key))
  } catch (cause) {
    throw wrong('columnKey is a CryptoKey that gives no bytes', randomKey, cause)
  }
}

async function derived({ passphrase, salt }: Exclude<ColumnKey, CryptoKey | Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await bytesOfPassphrase(passphrase, bytesOf(salt)))
}

function listed<T>(option: T | readonly T[]): readonly T[] {
  return Array.isArray(option) ? option : [option as T]
}

function bytesOf(given: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return typeof given === 'string' ? new TextEncoder().encode(given) : new Uint8Array(given)
}

function wrong(message: string, hint?: string, cause?: unknown): TidelockError {
  return invalid(message, { details: { option: 'columnKey' }, hint, cause })
}
