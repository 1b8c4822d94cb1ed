// What is used of an `@supabase/supabase-js` client, so that types compile without the package.

/** A session of Supabase Auth, as far as it is used. */
export interface SupabaseSession {
  /** The token of the signed-in user. */
  readonly access_token: string
}

/** What `remote.client` must have: a client of `createClient` from `@supabase/supabase-js`, version 2, is one. */
export interface SupabaseLike {
  /** Its sessions. */
  readonly auth: {
    /** Returns the present session, refreshed if it has expired. */
    getSession(): Promise<{ readonly data: { readonly session: SupabaseSession | null }; readonly error: unknown }>
    /** Calls a function when a user signs in or out, or a token is refreshed; first with the present session. */
    onAuthStateChange(listener: (event: string, session: SupabaseSession | null) => void): {
      readonly data: { readonly subscription: { unsubscribe(): void } }
    }
  }
}
