import { isA } from '../base/brand.js'
import { checkObject, checkString, reading } from '../base/check.js'
import { keyTraits } from '../base/crypto-key.js'
import { invalid, type TidelockError } from '../base/errors.js'
import { bytesOfPassphrase } from '../base/passphrase.js'
import { webCrypto } from '../base/web-crypto.js'

/**
 * A key for sensitive columns: 32 random bytes, an extractable `CryptoKey` of 256 bits, or a passphrase with a salt, from which
 * PBKDF2-HMAC-SHA256 derives the key in 600,000 rounds. The same input gives the same key everywhere, also in other languages. The salt has
 * at least 8 bytes and should differ for each user, such as the user's id: then an attacker must guess each user's passphrase separately.
 */
export type ColumnKey = CryptoKey | Uint8Array | { readonly passphrase: string; readonly salt: string | Uint8Array }

const keyBytes = 32
const minSaltBytes = 8

/** Checks the option `columnKey`. Throws the errors of {@link columnKeys}. */
function check(option: unknown): void {
  const keys = listed(option)
  if (keys.length === 0) throw wrong('columnKey needs at least one key')
  for (const key of keys) {
    if (isBytes(key)) {
      if (key.length === keyBytes) continue
      throw wrong(`columnKey must have ${keyBytes} bytes, not ${key.length}`, randomKey)
    }
    if (typeof key !== 'object' || key === null)
      throw wrong(
        `columnKey must be a Uint8Array of ${keyBytes} bytes, a CryptoKey, or { passphrase, salt }`,
        randomKey,
      )
    const traits = keyTraits(key)
    if (traits !== undefined) {
      if (traits.type !== 'secret' || !traits.extractable)
        throw wrong(
          'columnKey must be an extractable CryptoKey: SQL functions are synchronous, and WebCrypto is not',
          'Make it with extractable: true, or pass its bytes. The option encryption accepts any CryptoKey and encrypts all stored data',
        )
    } else {
      const { passphrase, salt } = checkObject('columnKey', key, ['passphrase', 'salt'])
      checkString('columnKey.passphrase', passphrase)
      if ((typeof salt !== 'string' && !isBytes(salt)) || bytesOf(salt).length < minSaltBytes)
        throw wrong(
          `columnKey.salt must be a string or a Uint8Array of at least ${minSaltBytes} bytes`,
          'Use the same salt on every device and server that reads the columns, and another one for each user',
        )
    }
    webCrypto('A Uint8Array as columnKey needs none')
  }
}

/**
 * Returns copies of the keys of the option `columnKey`, 32 bytes each. Rejects with `invalid_argument`, and with `unsupported_environment`
 * for a passphrase or a CryptoKey without WebCrypto.
 */
export async function columnKeys(option: ColumnKey | readonly ColumnKey[]): Promise<Uint8Array[]> {
  reading('columnKey', () => check(option))
  return Promise.all(
    listed(option).map(async (key) => {
      if (isBytes(key)) return key.slice()
      const bytes = keyTraits(key) === undefined ? await derived(key as Passphrase) : await exported(key as CryptoKey)
      if (bytes.length === keyBytes) return bytes
      throw wrong(`columnKey must have ${keyBytes} bytes, not ${bytes.length}`, randomKey)
    }),
  )
}

type Passphrase = Exclude<ColumnKey, CryptoKey | Uint8Array>

const randomKey = 'crypto.getRandomValues(new Uint8Array(32)) makes one'

async function exported(key: CryptoKey): Promise<Uint8Array> {
  try {
    return new Uint8Array(await crypto.subtle.exportKey('raw', key))
  } catch (cause) {
    throw wrong('columnKey is a CryptoKey that cannot be exported', randomKey, cause)
  }
}

async function derived({ passphrase, salt }: Passphrase): Promise<Uint8Array> {
  return new Uint8Array(await bytesOfPassphrase(passphrase, bytesOf(salt)))
}

function listed<T>(option: T | readonly T[]): readonly T[] {
  return Array.isArray(option) ? option : [option as T]
}

function isBytes(key: unknown): key is Uint8Array {
  return ArrayBuffer.isView(key) && isA(key, 'Uint8Array')
}

function bytesOf(given: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return typeof given === 'string' ? new TextEncoder().encode(given) : new Uint8Array(given)
}

function wrong(message: string, hint?: string, cause?: unknown): TidelockError {
  return invalid(message, { details: { option: 'columnKey' }, hint, cause })
}
