// Small charts over time, as SVG.
import { h, svg } from './dom.js'
import type { Sample } from './recorder.js'

const width = 240
const height = 48

/** A line over the recorded samples; `format` writes the newest and the largest value. Values that are null leave a gap. */
export function chart(
  title: string,
  samples: readonly Sample[],
  value: (sample: Sample, before: Sample | undefined) => number | null,
  format: (value: number) => string,
): HTMLElement {
  const values = samples.map((sample, at) => value(sample, samples[at - 1]))
  const known = values.filter((one) => one !== null)
  const [newest, most] = [known.at(-1), Math.max(0, ...known)]
  const text = newest === undefined ? 'no values yet' : `${format(newest)} now, at most ${format(most)}`
  return h(
    'figure',
    { class: 'card chart' },
    h('figcaption', {}, h('b', {}, title), h('span', { class: 'soft' }, text)),
    svg(
      'svg',
      {
        viewBox: `0 0 ${width} ${height}`,
        preserveAspectRatio: 'none',
        role: 'img',
        'aria-label': `${title}: ${text}`,
      },
      svg('path', { d: `M0 ${height - 1}H${width}`, class: 'axis' }),
      svg('path', { d: lineOf(samples, values, most), class: 'line' }),
    ),
  )
}

function lineOf(samples: readonly Sample[], values: readonly (number | null)[], most: number): string {
  const first = samples[0]?.at ?? 0
  const span = Math.max(1, (samples.at(-1)?.at ?? 0) - first)
  let isOpen = false
  return values
    .map((value, at) => {
      if (value === null) {
        isOpen = false
        return ''
      }
      const x = (((samples[at]?.at ?? first) - first) / span) * width
      const y = height - 3 - (most > 0 ? (value / most) * (height - 8) : 0)
      const step = `${isOpen ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`
      isOpen = true
      return step
    })
    .join('')
}
