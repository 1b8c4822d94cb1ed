import { TidelockError } from './errors.js'

const secure = 'Browsers have it on secure pages only: serve the page by https, or from localhost'

/** WebCrypto. Throws `unsupported_environment` where there is none; `instead` says what works without it, if anything does. */
export function webCrypto(instead?: string): Crypto {
  const { crypto } = globalThis
  if (crypto?.subtle !== undefined) return crypto
  throw new TidelockError('unsupported_environment', 'WebCrypto (crypto.subtle) is missing here', {
    hint: instead === undefined ? secure : `${secure}. ${instead}`,
    details: { missing: 'crypto.subtle' },
  })
}
