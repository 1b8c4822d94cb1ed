import { TidelockError } from '../base/errors.js'
import { bytesOfPassphrase, iterations } from '../base/passphrase.js'
import { webCrypto } from '../base/web-crypto.js'
import { type FileEncryption, magic } from './file-encryption.js'

// Encrypts and decrypts files. A module of its own, loaded only when it is needed.

// An encrypted file is a head of 44 bytes and the file encrypted with AES-256-GCM, with the head as associated data:
//
//   0  'TIDELOCK'   8 bytes
//   8  version      1 byte, 1
//   9  key          1 byte: 1 derived from a passphrase (PBKDF2 with SHA-256), 2 the CryptoKey itself
//  10  reserved     2 bytes, 0
//  12  iterations   u32, little-endian; 0 for a CryptoKey
//  16  salt         16 bytes, random; 0 for a CryptoKey
//  32  nonce        12 bytes, random
//  44  ciphertext, whose last 16 bytes are the tag
const headBytes = 44
const tagBytes = 16
const byPassphrase = 1
const byKey = 2
/** The largest number of PBKDF2 rounds: a crafted file could ask for so many that the page hangs. */
const mostIterations = 5_000_000

/** Encrypts a file. Rejects with `unsupported_environment` without WebCrypto. */
export async function encryptFile(data: Blob, encryption: FileEncryption): Promise<Blob> {
  const crypto = webCrypto()
  const { subtle } = crypto
  const head = new Uint8Array(headBytes)
  head.set(new TextEncoder().encode(magic))
  head[8] = 1
  crypto.getRandomValues(head.subarray(32))
  let key: CryptoKey
  if ('passphrase' in encryption) {
    head[9] = byPassphrase
    new DataView(head.buffer).setUint32(12, iterations, true)
    crypto.getRandomValues(head.subarray(16, 32))
    key = await derive(encryption.passphrase, head.slice(16, 32), iterations)
  } else {
    head[9] = byKey
    key = encryption.key
  }
  const sealed = await subtle.encrypt(parameters(head), key, await data.arrayBuffer())
  return new Blob([head, sealed])
}

/**
 * Decrypts a file. Rejects with `decryption_failed` for a wrong or missing passphrase or key and for a file that was changed, and with
 * `snapshot_incompatible` for a newer version of the format.
 */
export async function decryptFile(
  bytes: Uint8Array<ArrayBuffer>,
  encryption: FileEncryption | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  if (encryption === undefined)
    throw failed('The file is encrypted', 'Pass encrypt with the passphrase or key of the export')
  if (bytes.length < headBytes + tagBytes) throw failed('The encrypted file is truncated')
  const head = bytes.slice(0, headBytes)
  const kind = 'passphrase' in encryption ? byPassphrase : byKey
  const rounds = new DataView(head.buffer).getUint32(12, true)
  if (head[8] !== 1) {
    throw new TidelockError('snapshot_incompatible', 'The file was encrypted by a newer version of tidelock', {
      hint: 'Load the newest version of the app',
    })
  }
  if (head[9] !== kind)
    throw failed(
      `The file was encrypted with a ${head[9] === byKey ? 'CryptoKey' : 'passphrase'}, but encrypt has the other`,
      'Pass encrypt with the secret of the export',
    )
  if (kind === byPassphrase && (rounds < iterations || rounds > mostIterations))
    throw failed(
      `The file needs ${rounds} rounds of PBKDF2, outside of the allowed ${iterations} to ${mostIterations}`,
      'The file was changed, or made by another program: check its source',
    )
  const { subtle } = webCrypto()
  const key =
    'passphrase' in encryption ? await derive(encryption.passphrase, head.slice(16, 32), rounds) : encryption.key
  try {
    return new Uint8Array(await subtle.decrypt(parameters(head), key, bytes.subarray(headBytes)))
  } catch (cause) {
    throw failed("The file can't be decrypted", 'The passphrase or key is wrong, or the file was changed', cause)
  }
}

function parameters(head: Uint8Array<ArrayBuffer>): AesGcmParams {
  return { name: 'AES-GCM', iv: head.slice(32), additionalData: head }
}

async function derive(passphrase: string, salt: Uint8Array<ArrayBuffer>, rounds: number): Promise<CryptoKey> {
  const bytes = await bytesOfPassphrase(passphrase, salt, rounds)
  return webCrypto().subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt'])
}

function failed(message: string, hint?: string, cause?: unknown): TidelockError {
  return new TidelockError('decryption_failed', message, { hint, cause })
}
