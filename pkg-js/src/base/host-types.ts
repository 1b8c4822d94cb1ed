// What the public types name of browsers and Node. A program without the types of the DOM, or of Node, gets these empty ones; where the
// host's own are there, TypeScript merges both, so that nothing changes.

declare global {
  interface AbortSignal {}
  interface AddEventListenerOptions {}
  interface Blob {}
  interface CryptoKey {}
  // biome-ignore lint/suspicious/noExplicitAny: TypeScript merges only declarations with the same type parameters
  interface CustomEvent<T = any> {
    readonly detail: T
  }
  interface Event {}
  interface EventListenerOptions {}
  interface File extends Blob {}
  interface FileSystemDirectoryHandle {}
  interface Request {}
  interface RequestInit {}
  interface Response {}
  interface URL {}
  interface Worker {}
  namespace WebAssembly {
    interface Memory {}
    interface Module {}
  }
}

/** The type of `fetch`. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>
