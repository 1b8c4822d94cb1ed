/**
 * For tests of apps: a remote in memory, a clock that the test moves, and a storage that fails.
 *
 * @packageDocumentation
 */

export { FakeClock, fakeClock } from './clock.js'
export type { ColumnType } from './column-types.js'
export {
  crash,
  type FaultOptions,
  type FlushFault,
  type FlushFaultOptions,
  failNextFlush,
  stealLock,
} from './faults.js'
export {
  type FakeFailure,
  FakeRemote,
  type FakeRemoteOptions,
  type FakeRequest,
  fakeRemote,
} from './remote.js'
export type { FakeTable, RemoteRow, RemoteValue } from './remote-table.js'
