// Opens pages of a running loopd in headless Chromium and keeps a list of everything that should not have happened.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--force-color-profile=srgb',
];

/** The pages that people open, with the element that shows that the page is finished. */
export const PAGES = [
  { name: 'portal', path: '/', ready: '#examples' },
  { name: 'developers', path: '/api/developers/', ready: '#action-endpoints' },
  { name: 'swagger', path: '/api/docs/', ready: '[data-ready] .opblock-tag' },
  { name: 'redoc', path: '/api/redoc/', ready: '[data-ready] h1, [data-ready] h2' },
  { name: 'assets', path: '/api/assets/', ready: '.gallery' },
];

/** A browser with a profile of its own; `close()` removes it. */
export async function launch() {
  const profile = mkdtempSync(join(tmpdir(), 'loopd-shots-'));
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: FLAGS });
  const tabs = {
    /**
     * A tab of `width` in `scheme` of a reader of `locale`; `faults` fills with console errors, CSP violations, failed and foreign
     * requests (but to the origins of `guests`), and answers of 4xx unless they are `refused` on purpose.
     */
    async open(base, { width = 1280, height = 900, scheme = 'light', script = true, locale = 'en', refused = false, guests = [] } = {}) {
      const browser = context.browser();
      const own = browser ? await browser.newContext({ viewport: { width, height }, colorScheme: scheme, javaScriptEnabled: script, locale }) : context;
      const page = await own.newPage();
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme: scheme });
      const faults = watch(page, [new URL(base).origin, ...guests], refused);
      return { page, faults, close: () => (own === context ? page.close() : own.close()) };
    },
    /** Opens a tab as `open` does, looks at it, and holds that nothing happened which should not have. */
    async visit(base, options, look) {
      const { page, faults, close } = await tabs.open(base, options);
      try {
        await look(page);
        assert.deepEqual(faults, []);
      } finally {
        await close();
      }
    },
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
  return tabs;
}

function watch(page, origins, refused) {
  const faults = [];
  const isExpected = (text) => refused && /the server responded with a status of 4\d\d/.test(text);
  page.on('console', (message) => { if (message.type() === 'error' && !isExpected(message.text())) faults.push(`console: ${message.text()}`); });
  page.on('pageerror', (error) => faults.push(`script: ${error.message}`));
  page.on('requestfailed', (request) => { if (!request.url().startsWith('data:')) faults.push(`failed: ${request.url()} ${request.failure()?.errorText}`); });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:'].includes(url.protocol) && !origins.includes(url.origin)) faults.push(`another host: ${request.url()}`);
  });
  page.on('response', (response) => { if (response.status() >= (refused ? 500 : 400)) faults.push(`${response.status()}: ${response.url()}`); });
  // The event also tells of violations that a report-only or a quiet directive would hide from the console.
  page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  }).catch((error) => faults.push(`watcher: ${error.message}`));
  return faults;
}
