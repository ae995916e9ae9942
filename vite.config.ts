import { defineConfig } from 'vite';

export default defineConfig({
  root: 'src/web',
  base: './',
  build: {
    outDir: '../../dist/web',
    emptyOutDir: true,
    target: 'es2024',
    // The page's content security policy allows files of its own origin only: nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // `vite` beside a running `callgate serve`, for work on the page.
    proxy: {
      '/demo': 'http://127.0.0.1:8080',
      '/v1/connect': { target: 'ws://127.0.0.1:8080', ws: true },
    },
  },
});
