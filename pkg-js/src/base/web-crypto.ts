import { unsupported } from './errors.js'

const secure = 'Browsers have it on secure pages only: serve the page by https, or from localhost'

/** Returns WebCrypto. Throws `unsupported_environment` when it is missing; `instead` is a hint at what works without it. */
export function webCrypto(instead?: string): Crypto {
  const { crypto } = globalThis
  if (crypto?.subtle !== undefined) return crypto
  const hint = instead === undefined ? secure : `${secure}. ${instead}`
  throw unsupported('crypto.subtle', 'WebCrypto (crypto.subtle) is missing', hint)
}

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
