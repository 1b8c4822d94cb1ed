import { invalid } from '../base/errors.js'
import { isNode } from '../base/is-node.js'

// What src/sync/config/credentials.rs does for the sync, for requests that go around the engine: a seed, `doctor` and an upload have no wasm to ask.
// tests/fixtures/credentials.json holds the two together; what stands in URLs is masked here alone, where they are.

/** Headers that say what is asked for, not who asks. */
const noSecrets = ['accept', 'accept-profile', 'content-profile', 'content-type', 'prefer', 'user-agent']

/** Shorter texts are no secrets: masking them would blot out ordinary words. */
const shortest = 4
/** Shorter secrets are masked where they stand as words of their own. */
const shortestAnywhere = 8
/** More of a text from outside is left out, in characters. */
const longestText = 1000

/** Headers by name. */
export type Headers = Readonly<Record<string, string>>

/** Whether a secret key may be here: not where whoever opens the page could read it. */
export function mayHoldSecrets(): boolean {
  return typeof document === 'undefined' && isNode()
}

/** Whether a key or token opens everything to whoever has it. */
function isSecret(text: string): boolean {
  return text.startsWith('sb_secret_') || claimsOf(text)?.role === 'service_role'
}

/** Whether a text has the form of a JWT: three parts, of which the first one is an object. */
export function isJwt(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 3 && /^\s*\{/.test(decoded(parts[0]))
}

/** What a JWT claims, unverified; undefined for anything else. */
export function claimsOf(jwt: string): { readonly exp?: number; readonly role?: string } | undefined {
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
 * Checks what is to be sent as headers; `what` names them. `secretsAllowed`: a secret key may be among them. Fails with
 * `invalid_argument`, never with a value in it.
 */
export function checkHeaders(what: string, headers: Headers, secretsAllowed = true): void {
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
      throw invalid(`${what} has a name that no header can have`, {
        hint: 'A name has letters, digits and hyphens',
        details: { option: what },
      })
    }
    checkHeader(`${what}['${name}']`, value, secretsAllowed)
  }
}

/** The same for one value. */
export function checkHeader(what: string, value: string, secretsAllowed = true): void {
  // What `fetch` takes: Latin-1 without line ends.
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

/** The secrets of a request, to be masked in what comes back. */
export class Secrets {
  readonly #texts = new Set<string>()

  /** Those of headers, and of what stands behind the path of a URL. */
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

  /** One more: it, and its words, as the token behind `Bearer`. */
  add(secret: string): void {
    for (const text of [secret, ...secret.split(/\s+/)])
      if (text.length >= shortest && text !== 'Bearer' && text !== 'Basic') this.#texts.add(text)
  }

  /**
   * A text from outside as it may be kept and shown: of a bounded length, without these secrets, and without other tokens, keys and
   * what stands behind the path of URLs.
   */
  mask(text: string): string {
    let masked = text
    for (const secret of [...this.#texts].sort((a, b) => b.length - a.length)) {
      const escaped = secret.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&')
      const pattern = secret.length < shortestAnywhere ? `(?<!\\w)${escaped}(?!\\w)` : escaped
      masked = masked.replaceAll(new RegExp(pattern, 'g'), '***')
    }
    masked = masked
      .replaceAll(/[\w-]+(?:\.[\w-]+)*/g, (word) => (isJwt(word) || word.startsWith('sb_secret_') ? '***' : word))
      .replaceAll(/\b(\w+:\/\/)(?:[^\s/?#"'<>]*@)?([^\s?#"'<>]*)([?#][^\s"'<>]*)?/g, (_, scheme, place, behind) =>
        behind === undefined ? scheme + place : `${scheme}${place}?***`,
      )
    return masked.length > longestText ? `${masked.slice(0, longestText)}…` : masked
  }

  /** What was thrown as an error that may be kept: its name, and what it says, masked. */
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
