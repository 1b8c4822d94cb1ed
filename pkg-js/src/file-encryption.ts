import { isA } from './brand.js'
import { checkObject, checkString } from './check.js'
import { invalid } from './errors.js'

/** What an encrypted file begins with. What comes after it: `file-cipher.ts`. */
export const magic = 'TIDELOCK'

/** What a file is encrypted with: a passphrase, or a `CryptoKey` for AES-GCM with the usages `encrypt` and `decrypt`. */
export type FileEncryption = { readonly passphrase: string } | { readonly key: CryptoKey }

/** Checks the option of that name. */
export function checkFileEncryption(option: string, value: unknown): FileEncryption {
  const given = checkObject(option, value, ['passphrase', 'key'])
  if ((given.passphrase === undefined) === (given.key === undefined))
    throw invalid(`${option} needs either a passphrase or a key`, { details: { option } })
  if (given.key === undefined) return { passphrase: checkString(`${option}.passphrase`, given.passphrase) }
  if (!isA(given.key, 'CryptoKey') || given.key.algorithm.name !== 'AES-GCM')
    throw invalid(`${option}.key must be a CryptoKey for AES-GCM`, { details: { option: `${option}.key` } })
  return { key: given.key }
}

/** Whether these are the first bytes of an encrypted file. */
export function isEncrypted(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, magic.length)) === magic
}
<<<<<<< HEAD

/**
 * Decrypts a file. Rejects with `decryption_failed` for a wrong or missing passphrase or key and for a file that was
 * changed, and with `snapshot_incompatible` for one of a newer version.
 */
export async function decryptFile(
  bytes: Uint8Array<ArrayBuffer>,
  encryption: FileEncryption | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  if (encryption === undefined)
    throw failed('The file is encrypted', 'Pass encrypt with the passphrase or key that it was exported with')
  if (bytes.length < headBytes + tagBytes) throw failed('The encrypted file is cut off')
  const head = bytes.slice(0, headBytes)
  const kind = 'passphrase' in encryption ? byPassphrase : byKey
  const rounds = new DataView(head.buffer).getUint32(12, true)
  if (head[8] !== 1 || rounds > mostIterations) {
    throw new TidelockError('snapshot_incompatible', 'The file was encrypted by a newer version of tidelock', {
      hint: 'Load the newest version of the app',
    })
  }
  if (head[9] !== kind)
    throw failed(`The file was encrypted with a ${head[9] === byKey ? 'CryptoKey' : 'passphrase'}, not with this`)
  const { subtle } = crypto_()
  const key =
    'passphrase' in encryption
      ? await derive(subtle, encryption.passphrase, head.slice(16, 32), rounds)
      : encryption.key
  try {
    return new Uint8Array(await subtle.decrypt(parameters(head), key, bytes.subarray(headBytes)))
  } catch (cause) {
    throw failed("The file can't be decrypted", 'The passphrase or key is another one, or the file was changed', cause)
  }
}

function parameters(head: Uint8Array<ArrayBuffer>): AesGcmParams {
  return { name: 'AES-GCM', iv: head.slice(32), additionalData: head }
}

async function derive(
  subtle: SubtleCrypto,
  passphrase: string,
  salt: Uint8Array<ArrayBuffer>,
  rounds: number,
): Promise<CryptoKey> {
  const secret = joined([new TextEncoder().encode(passphrase)])
  const base = await subtle.importKey('raw', secret, 'PBKDF2', false, ['deriveKey'])
  const by = { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: rounds }
  return subtle.deriveKey(by, base, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
}

function crypto_(): { subtle: SubtleCrypto; random: (bytes: Uint8Array<ArrayBuffer>) => void } {
  const { crypto } = globalThis
  if (crypto?.subtle === undefined) {
    throw new TidelockError('unsupported_environment', 'WebCrypto (crypto.subtle) is missing here', {
      hint: 'Browsers have it on secure pages only: serve the page by https, or from localhost',
      details: { missing: 'crypto.subtle' },
    })
  }
  return { subtle: crypto.subtle, random: (bytes) => void crypto.getRandomValues(bytes) }
}

function failed(message: string, hint?: string, cause?: unknown): TidelockError {
  return new TidelockError('decryption_failed', message, { hint, cause })
}
=======
>>>>>>> main
