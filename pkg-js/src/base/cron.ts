import { Cron } from 'croner'

/**
 * The timetable of a cron pattern, in the time zone of the browser: what gives the next time after a moment, both in milliseconds since 1970,
 * or null when there is none. Throws what the parser (https://croner.56k.guru) throws for a pattern without sense.
 */
export function timetable(pattern: string): (after: number) => number | null {
  const cron = new Cron(pattern, { paused: true })
  return (after) => cron.nextRun(new Date(after))?.getTime() ?? null
}
