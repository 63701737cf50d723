/**
 * The pictures of the status page in the documents. They are taken anew, of a simulated market, by
 * `SCREENSHOTS=1 npx vitest run test/integration/status-page-pictures.test.ts` where pngquant is.
 */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { run } from '../../src/embedded/run.ts';
import { holds, launchBrowser, openPage } from '../support/browser.ts';
import { DESKTOP, PHONE, startPage, whenFilled } from '../support/status-page.ts';
import { waitFor } from '../support/stack.ts';

const PICTURES = {
  'status-page-light': { viewport: DESKTOP, colorScheme: 'light' },
  'status-page-dark': { viewport: DESKTOP, colorScheme: 'dark' },
  'status-page-phone': { viewport: PHONE, colorScheme: 'dark' },
} as const;

const pathOf = (name: string) => resolve(import.meta.dirname, '../../docs/images', `${name}.png`);

async function takePictures(): Promise<void> {
  const { url, simulation } = await startPage({ minutes: 100 });
  await waitFor(simulation.caughtUp, { what: 'the present', timeoutMs: 120_000 });
  const browser = await launchBrowser();
  onTestFinished(() => browser.close());
  for (const [name, options] of Object.entries(PICTURES)) {
    const opened = await openPage(browser, url, options);
    await whenFilled(opened);
    // A candle that closed after the hurry, and rates.
    const lag = `document.querySelector('[data-key^=candles] [data-cell=lag]').textContent`;
    await holds(opened, `/^\\d+ ms$/.test(${lag})`, 90_000);
    await holds(opened, `document.querySelector('#stored-trades').textContent !== '–'`);
    await opened.page.screenshot({ path: pathOf(name) });
    const output = ['--force', '--output', pathOf(name)];
    await run(['pngquant', '--strip', '--speed', '1', ...output, '256', '--', pathOf(name)]);
  }
}

test('they are there, and small', { timeout: 300_000 }, async () => {
  if (process.env['SCREENSHOTS'] === '1') await takePictures();
  for (const name of Object.keys(PICTURES)) {
    const { size } = await stat(pathOf(name));
    expect(size).toBeGreaterThan(10_000);
    expect(size).toBeLessThan(150_000);
  }
});
