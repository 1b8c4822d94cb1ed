import { checkTexts } from '../base/check.js'
import { invalid } from '../base/errors.js'

// Does for other requests what src/sync/config/credentials.rs does for the sync: a seed, `doctor` and an upload don't load the wasm.
// tests/fixtures/credentials.json keeps the two equal. Only this file masks URLs, because only its requests have secrets in them.

/** Headers without credentials. */
const noSecrets = ['accept', 'accept-profile', 'content-profile', 'content-type', 'prefer', 'user-agent']

/** Shorter texts are not masked, because masking them would remove ordinary words. In characters. */
const minSecretLength = 4
/** Shorter secrets are masked as whole words only. In characters. */
const minAnywhereLength = 8
/** The longest text from outside that is kept, in characters. */
const maxTextLength = 1000

/** Characters that control a terminal or the direction of text; not line breaks. */
const controls = /(?!\n)[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/** Headers by name. */
export type Headers = Readonly<Record<string, string>>

/** Returns whether a key or token bypasses row security: a secret or `service_role` key. */
function isSecret(text: string): boolean {
  return text.startsWith('sb_secret_') || claimsOf(text)?.role === 'service_role'
}

/** Returns whether a text has the form of a JWT: three parts, the first of which is a JSON object. */
export function isJwt(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 3 && /^\s*\{/.test(decoded(parts[0]))
}

/** Returns the unverified claims of a JWT; undefined for other texts. */
export function claimsOf(
  jwt: string,
): { readonly exp?: number; readonly role?: string; readonly sub?: string } | undefined {
  if (!isJwt(jwt)) return undefined
  try {
    return JSON.parse(decoded(jwt.split('.')[1]))
  } catch {
    return undefined
  }
}

function decoded(base64url = ''): string {
  try {
    return atob(base64url.replaceAll('-', '+').replaceAll('_', '/'))
  } catch {
    return ''
  }
}

/**
 * Checks the headers of a request and returns a copy; `what` names them in errors. With `secretsAllowed` they may contain a secret key.
 * Throws `invalid_argument`; the error never contains a value.
 */
export function checkHeaders(what: string, headers: unknown, secretsAllowed = true): Headers {
  const checked = checkTexts(what, headers)
  for (const [name, value] of Object.entries(checked)) {
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
      throw invalid(`${what} has a name that no header can have`, {
        hint: 'A name has letters, digits and hyphens',
        details: { option: what },
      })
    }
    checkHeader(`${what}['${name}']`, value, secretsAllowed)
  }
  return checked
}

/** Checks the value of one header, as {@link checkHeaders} does. */
export function checkHeader(what: string, value: string, secretsAllowed = true): void {
  // `fetch` allows Latin-1 without line ends.
  const at = value.search(/[^\t -~\u00a0-\u00ff]/)
  if (at >= 0) {
    throw invalid(`${what} has a character that no header can have, at position ${at + 1}`, {
      hint: 'Trim what is read from a file or from the environment: a line break at its end is such a character',
    })
  }
  if (!secretsAllowed && value.split(/\s+/).some(isSecret)) {
    throw invalid(`${what} is a secret key: anyone who opens the page could read and change all data`, {
      hint: 'Use the publishable (anon) key here, and make a new secret key if this one was published',
    })
  }
}

/** The secrets of a request, which are masked in texts of its response and errors. */
export class Secrets {
  readonly #texts = new Set<string>()

  /** Collects the secrets of headers, and of the user part, query and fragment of a URL. */
  constructor(headers: Headers = {}, url = '') {
    for (const [name, value] of Object.entries(headers)) if (!noSecrets.includes(name.toLowerCase())) this.add(value)
    const [, user = ''] = /^\w+:\/\/([^/?#]*)@/.exec(url) ?? []
    const [, behind = ''] = /[?#](.*)$/s.exec(url) ?? []
    const values = behind.split(/[&?#]/).map((pair) => pair.replace(/^[^=]*=/, ''))
    for (const text of [user, ...user.split(':'), behind, ...values]) {
      this.add(text)
      this.add(unescaped(text))
    }
  }

  /** Adds a secret and its words, such as the token after `Bearer`. */
  add(secret: string): void {
    for (const text of [secret, ...secret.split(/\s+/)])
      if (text.length >= minSecretLength && text !== 'Bearer' && text !== 'Basic') this.#texts.add(text)
  }

  /**
   * Returns a text from outside in a form that may be kept and shown: truncated, and with these secrets, other tokens and keys, query and
   * fragment of URLs, and characters that control a terminal or the direction of text masked.
   */
  mask(text: string): string {
    let masked = text
    for (const secret of [...this.#texts].sort((a, b) => b.length - a.length)) {
      const escaped = secret.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&')
      const pattern = secret.length < minAnywhereLength ? `(?<!\\w)${escaped}(?!\\w)` : escaped
      masked = masked.replaceAll(new RegExp(pattern, 'gi'), '***')
    }
    masked = masked
      .replaceAll(/[\w-]+(?:\.[\w-]+)*/g, (word) => (isJwt(word) || word.startsWith('sb_secret_') ? '***' : word))
      .replaceAll(/\b(\w+:\/\/)(?:[^\s/?#"'<>]*@)?([^\s?#"'<>]*)([?#][^\s"'<>]*)?/g, (_, scheme, place, behind) =>
        behind === undefined ? scheme + place : `${scheme}${place}?***`,
      )
      .replaceAll(controls, ' ')
    return masked.length > maxTextLength ? `${masked.slice(0, maxTextLength)}…` : masked
  }

  /** Returns a thrown value as an error that may be kept: its name and its masked message. */
  maskError(thrown: unknown): Error {
    const error = new Error(this.mask(thrown instanceof Error ? thrown.message : String(thrown)))
    if (thrown instanceof Error) error.name = thrown.name
    return error
  }
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
