'use client'

import { useEffect } from 'react'
import { visit } from '../visit.js'

export default function Page() {
  useEffect(() => {
    visit()
  }, [])
  return <main>tidelock</main>
}
