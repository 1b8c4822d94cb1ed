import type { NodeFiles } from '../engine/core.js'

/**
 * Files whose changes stay in memory. A database over them opens, recovers from a crash and takes a lock as usual, and its folder doesn't
 * change. The lock of another process is respected; other processes don't see this one's.
 */
export class ReadOnlyFiles implements NodeFiles {
  readonly isPrivate = false
  readonly #disk: NodeFiles
  /** The contents of changed files; undefined for removed ones. */
  readonly #changed = new Map<string, Uint8Array | undefined>()

  constructor(disk: NodeFiles) {
    this.#disk = disk
  }

  prepare(names: string[]): void {
    for (const name of names) if (this.size(name) === undefined) this.#changed.set(name, new Uint8Array(0))
  }

  list(): string[] {
    const names = new Set(this.#disk.list())
    for (const [name, bytes] of this.#changed) {
      if (bytes === undefined) names.delete(name)
      else names.add(name)
    }
    return [...names]
  }

  size(name: string): number | undefined {
    return this.#changed.has(name) ? this.#changed.get(name)?.length : this.#disk.size(name)
  }

  read(name: string, at: number, into: Uint8Array): number {
    if (!this.#changed.has(name)) return this.#disk.read(name, at, into)
    const bytes = this.#changed.get(name)?.subarray(at, at + into.length) ?? new Uint8Array(0)
    into.set(bytes)
    return bytes.length
  }

  write(name: string, at: number, bytes: Uint8Array): void {
    const before = this.#whole(name)
    const after = new Uint8Array(Math.max(before.length, at + bytes.length))
    after.set(before)
    after.set(bytes, at)
    this.#changed.set(name, after)
  }

  truncate(name: string, bytes: number): void {
    this.#changed.set(name, this.#whole(name).slice(0, bytes))
  }

  sync(): void {}

  create(name: string, bytes: Uint8Array): boolean {
    if (this.size(name) !== undefined) return false
    this.#changed.set(name, bytes.slice())
    return true
  }

  remove(name: string): void {
    this.#changed.set(name, undefined)
  }

  close(): void {
    this.#disk.close()
  }

  turn(): Promise<void> | undefined {
    return this.#disk.turn()
  }

  describe(): void {}

  async shown(): Promise<undefined> {}

  abandon(): void {
    this.close()
  }

  get pid(): number {
    return this.#disk.pid
  }

  get host(): string {
    return this.#disk.host
  }

  get thread(): number {
    return this.#disk.thread
  }

  began(id: number): string | undefined {
    return this.#disk.began(id)
  }

  #whole(name: string): Uint8Array {
    const bytes = new Uint8Array(this.size(name) ?? 0)
    return bytes.subarray(0, this.read(name, 0, bytes))
  }
}
