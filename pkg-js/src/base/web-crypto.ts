import { unsupported } from './errors.js'

const secure = 'Browsers have it on secure pages only: serve the page by https, or from localhost'

/** WebCrypto. Throws `unsupported_environment` where there is none; `instead` says what works without it, if anything does. */
export function webCrypto(instead?: string): Crypto {
  const { crypto } = globalThis
  if (crypto?.subtle !== undefined) return crypto
  const hint = instead === undefined ? secure : `${secure}. ${instead}`
  throw unsupported('crypto.subtle', 'WebCrypto (crypto.subtle) is missing here', hint)
}

/** The rounds of PBKDF2 wherever a passphrase becomes a key. */
export const iterations = 600_000

/** 32 bytes from a passphrase, by PBKDF2 with HMAC-SHA-256. */
export async function bytesOfPassphrase(
  passphrase: string,
  salt: Uint8Array<ArrayBuffer>,
  rounds = iterations,
): Promise<ArrayBuffer> {
  const { subtle } = webCrypto()
  const secret = await subtle.importKey('raw', new TextEncoder().encode(passphrase), 'PBKDF2', false, ['deriveBits'])
  return subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt, iterations: rounds }, secret, 256)
}
