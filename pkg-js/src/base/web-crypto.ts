import { unsupported } from './errors.js'

const secure = 'Browsers have it on secure pages only: serve the page by https, or from localhost'

/** Returns WebCrypto. Throws `unsupported_environment` when it is missing; `instead` is a hint at what works without it. */
export function webCrypto(instead?: string): Crypto {
  const { crypto } = globalThis
  if (crypto?.subtle !== undefined) return crypto
  const hint = instead === undefined ? secure : `${secure}. ${instead}`
  throw unsupported('crypto.subtle', 'WebCrypto (crypto.subtle) is missing', hint)
}
