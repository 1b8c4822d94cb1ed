// The parts of Node that this package calls, so that the package's types don't need @types/node.

declare module 'node:fs' {
  /** The kind of a directory entry. */
  export interface Kind {
    isFile(): boolean
    isDirectory(): boolean
    isFIFO(): boolean
  }
  export function readdirSync(path: string): string[]
  export function readdirSync(path: string, options: { withFileTypes: true }): (Kind & { readonly name: string })[]
  export function existsSync(path: string): boolean
  export function mkdirSync(path: string): void
  export function statSync(
    path: string,
    options: { throwIfNoEntry: false },
  ):
    | (Kind & {
        readonly size: number
        readonly mtimeMs: number
        readonly mode: number
        readonly dev: number
        readonly ino: number
      })
    | undefined
  export function lstatSync(
    path: string,
    options: { throwIfNoEntry: false },
  ): (Kind & { readonly size: number; readonly uid: number; readonly dev: number; readonly ino: number }) | undefined
  export function openSync(path: string, flags: string | number): number
  export function closeSync(file: number): void
  export function fstatSync(
    file: number,
  ): Kind & { readonly size: number; readonly nlink: number; readonly dev: number; readonly ino: number }
  export function readSync(
    file: number,
    into: Uint8Array,
    offset: number,
    length: number,
    position: number | null,
  ): number
  export function writeSync(file: number, from: Uint8Array, offset: number, length: number, position: number): number
  export function ftruncateSync(file: number, length: number): void
  export function fsyncSync(file: number): void
  export function renameSync(from: string, to: string): void
  export function linkSync(from: string, to: string): void
  export function readlinkSync(path: string): string
  export function rmdirSync(path: string): void
  export function rmSync(path: string, options: { force: true }): void
  export function readFileSync(path: string): Uint8Array
  export function readFileSync(path: string, encoding: 'utf8'): string
  export function writeFileSync(path: string, bytes: Uint8Array, options?: { readonly flag: 'wx' }): void
  export const constants: {
    readonly O_RDONLY: number
    /** Missing on Windows. */
    readonly O_NONBLOCK?: number
  }
}

declare module 'node:os' {
  export function hostname(): string
}

declare module 'node:path' {
  export function basename(path: string): string
  export function dirname(path: string): string
  export function join(...parts: string[]): string
  export function resolve(...parts: string[]): string
}

declare module 'node:process' {
  export const pid: number
  export const platform: string
  export function kill(pid: number, signal: 0): void
}

declare module 'node:url' {
  export function fileURLToPath(url: URL): string
}

declare module 'node:v8' {
  export function serialize(value: unknown): Uint8Array
  export function deserialize(bytes: Uint8Array): unknown
}

declare module 'node:worker_threads' {
  export const threadId: number
}
