import { webCrypto } from './web-crypto.js'

/** The number of PBKDF2 rounds that turn a passphrase into a key. */
export const iterations = 600_000

/** Derives 32 bytes from a passphrase, by PBKDF2 with HMAC-SHA-256. */
export async function bytesOfPassphrase(
  passphrase: string,
  salt: Uint8Array<ArrayBuffer>,
  rounds = iterations,
): Promise<ArrayBuffer> {
  const { subtle } = webCrypto()
  const secret = await subtle.importKey('raw', new TextEncoder().encode(passphrase), 'PBKDF2', false, ['deriveBits'])
  return subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt, iterations: rounds }, secret, 256)
}
