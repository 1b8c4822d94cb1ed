import { useSyncStatus } from 'tidelock/react'

export function Status() {
  const { tables, pending, rejected, error, loading } = useSyncStatus()
  return <p role="status">{text()}</p>

  function text() {
    if (error && error.code !== 'sync_network') return error.message
    if (tables.length === 0) return loading ? '' : 'Stays on this device'
    if (rejected > 0) return `Refused: ${rejected}`
    return pending > 0 ? `To send: ${pending}` : 'Saved'
  }
}
