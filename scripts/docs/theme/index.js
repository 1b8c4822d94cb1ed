import DefaultTheme from 'vitepress/theme'
import { defineAsyncComponent, h } from 'vue'
import Hero from '../../hero.md'
import './style.css'

export default {
  extends: DefaultTheme,
  // The first lines of the README beside the title, where the theme has a picture.
  Layout: () =>
    h(DefaultTheme.Layout, null, { 'home-hero-image': () => h('div', { class: 'vp-doc hero-code' }, h(Hero)) }),
  enhanceApp({ app }) {
    app.component(
      'Playground',
      defineAsyncComponent(() => import('./Playground.vue')),
    )
  },
}
