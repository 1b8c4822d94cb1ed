import { Cron } from 'croner'

/**
 * Returns the timetable of a cron pattern in the browser's time zone: a function from a time to the next scheduled time after it, both in
 * milliseconds since 1970, or null when there is none. Throws the error of the parser (https://croner.56k.guru) for an invalid pattern.
 */
export function timetable(pattern: string): (after: number) => number | null {
  const cron = new Cron(pattern, { paused: true })
  return (after) => cron.nextRun(new Date(after))?.getTime() ?? null
}
