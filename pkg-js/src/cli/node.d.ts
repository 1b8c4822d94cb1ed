// The parts of Node that the command line calls, in addition to those in src/node/node.d.ts.

declare module 'node:fs' {
  export function readFileSync(path: string | URL, encoding: 'utf8'): string
  export function writeFileSync(
    path: string,
    data: Uint8Array,
    options: { flush: true; flag: 'wx'; mode: number },
  ): void
  export function chmodSync(path: string, mode: number): void
  export function mkdirSync(path: string, options: { mode: number }): void
  export function existsSync(path: string): boolean
  export function realpathSync(path: string): string
  export function rmSync(path: string, options: { recursive?: true; force: true }): void
}

declare module 'node:http' {
  export interface Request {
    readonly url?: string
    readonly method?: string
    readonly headers: Readonly<Record<string, string | undefined>>
  }
  export interface Response {
    writeHead(status: number, headers: Readonly<Record<string, string>>): Response
    end(body?: string | Uint8Array): unknown
  }
  interface Server {
    listen(port: number, address: string, listening: () => void): void
    once(event: 'error', listener: (error: Error) => void): void
    address(): { readonly port: number }
    close(closed: () => void): void
    closeAllConnections(): void
  }
  export function createServer(answer: (request: Request, response: Response) => void): Server
}

declare module 'node:crypto' {
  export function randomBytes(length: number): { toString(encoding: 'base64url'): string }
  export function randomInt(below: number): number
}

declare module 'node:path' {
  const path: {
    join(...parts: string[]): string
    resolve(...parts: string[]): string
    basename(path: string): string
    dirname(path: string): string
    relative(from: string, to: string): string
  }
  export default path
}

declare module 'node:util' {
  export function parseEnv(text: string): Record<string, string>
  export function parseArgs(config: {
    args: readonly string[]
    options: Readonly<Record<string, { type: 'boolean' | 'string'; short?: string; multiple?: boolean }>>
    allowPositionals: true
    strict: true
  }): { values: Readonly<Record<string, string | boolean | readonly string[]>>; positionals: readonly string[] }
}

declare module 'node:worker_threads' {
  export class Worker {
    constructor(file: URL, options: { workerData: import('./main.js').CommandData })
    on(event: 'message', listener: (message: import('./main.js').FromCommand) => void): void
    on(event: 'error', listener: (error: Error & { readonly code?: string }) => void): void
    on(event: 'exit', listener: () => void): void
    postMessage(message: import('./main.js').ToCommand): void
    terminate(): Promise<number>
  }
  export const workerData: import('./main.js').CommandData
  export const parentPort: {
    on(event: 'message', listener: (message: import('./main.js').ToCommand) => void): void
    postMessage(message: import('./main.js').FromCommand): void
    unref(): void
  }
}

type OutputStream = import('./output.js').Stream & {
  on(event: 'error', listener: (error: Error & { readonly code?: string }) => void): void
}

declare const process: {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  umask(): number
  /** Missing on Windows. */
  readonly getuid?: () => number
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  exitCode: number
  on(event: 'SIGINT', listener: () => void): void
}

declare const Buffer: {
  from(bytes: Uint8Array | ArrayBuffer): { toString(encoding: 'base64' | 'hex'): string }
  from(text: string, encoding: 'base64url'): { toString(): string }
}
