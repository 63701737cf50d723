/** The status page in headless Chromium, of a real daemon. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromiumPath, holds, launchBrowser, openPage, textChanges } from '../support/browser.ts';
import { DESKTOP, startPage, whenFilled } from '../support/status-page.ts';
import { waitFor } from '../support/stack.ts';

describe.skipIf(chromiumPath === undefined)('in Chromium', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  test('what moves, moves; digits are those that are stored; nobody else is asked', async () => {
    const { url, database, drained } = await startPage();
    const opened = await openPage(browser, url, { viewport: DESKTOP });
    const { page, text, problems, requests } = opened;
    await whenFilled(opened);
    await holds(opened, `document.title === 'ok · hyperfeed binance-simulated'`);
    expect(await text('#health')).toBe('ok');
    expect(await text('#connection')).toBe('live');
    expect(await text('#connections')).toBe('1 of 1');
    expect(await text('#redis')).toBe('up');
    expect(await text('#store')).toBe('storing');
    expect(await page.locator('#reasons').isVisible()).toBe(false);
    for (const selector of ['#last-price', '#trades tbody', '#bids tbody', '#streams', '#uptime']) {
      await textChanges(opened, selector, await text(selector));
    }
    expect(Number(await text('#stored-trades'))).toBeGreaterThan(0);
    expect(await page.locator('#bids tbody tr').count()).toBe(10);
    // The colours of candles that are on the canvas.
    const colors = `(() => {
      const style = getComputedStyle(document.documentElement);
      const seen = new Set();
      for (const canvas of document.querySelectorAll('#chart canvas')) {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4)
          seen.add('#' + [0, 1, 2].map((k) => data[i + k].toString(16).padStart(2, '0')).join(''));
      }
      return ['good', 'bad'].filter((name) => seen.has(style.getPropertyValue('--' + name).trim()));
    })()`;
    await waitFor(async () => (await page.evaluate<string[]>(colors)).length > 0, {
      what: 'candles on the canvas',
    });

    const shown = await page.evaluate<string[]>(
      `[...document.querySelector('#trades tbody tr').cells].map((cell) => cell.textContent)`,
    );
    await drained();
    const stored = await database.query(
      `SELECT 1 FROM trades WHERE symbol = 'BTC/USDT' AND side = $2 AND price::text = $3
       AND quantity::text = $4 AND to_char(time AT TIME ZONE 'UTC', 'HH24:MI:SS.MS') = $1`,
      shown,
    );
    expect(stored.length).toBeGreaterThan(0);
    expect(problems).toEqual([]);
    expect(requests.filter((one) => !one.startsWith(url))).toEqual([]);
    expect(requests.some((one) => one.endsWith('/lightweight-charts.js'))).toBe(true);
  });

  test('what is wrong shows, and is announced once; a daemon that is gone too', async () => {
    const { url, simulation, daemon } = await startPage({
      settings: { 'connection.staleAfterMs.trades': 2_000 },
    });
    const opened = await openPage(browser, url, { viewport: DESKTOP });
    const { page, text } = opened;
    await whenFilled(opened);
    await holds(opened, `document.title.startsWith('ok')`);
    expect(await text('#announcement')).toBe('binance-simulated is ok');
    simulation.pauseStreams(['ethusdt@trade']);
    await page.getByRole('heading', { name: 'Reasons' }).waitFor();
    expect(await text('#reasons li')).toMatch(/^failing feed stale: ETH\/USDT trades silent for/);
    expect(await text('#health')).toBe('failing');
    expect(await text('#announcement')).toBe('binance-simulated is failing');
    expect(await page.locator('#streams .bad').allInnerTexts()).toEqual(['stale']);
    await daemon.stop();
    await page.getByText('no connection').waitFor();
    expect(await text('#announcement')).toBe('Live data is interrupted');
  });

  test('whoever looks elsewhere is no burden', async () => {
    const { url } = await startPage();
    const opened = await openPage(browser, url);
    await whenFilled(opened);
    /** Of eight more, how many find no room. */
    const refused = async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, () => fetch(`${url}events`)));
      for (const { body } of answers) await body?.cancel();
      return answers.filter(({ status }) => status === 503).length;
    };
    expect(await refused()).toBe(1);
    await opened.page.evaluate(`
      Object.defineProperty(document, 'hidden', { value: true, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));`);
    await waitFor(async () => (await refused()) === 0, { what: 'the page to leave' });
    await opened.page.evaluate(`
      Object.defineProperty(document, 'hidden', { value: false });
      document.dispatchEvent(new Event('visibilitychange'));`);
    const uptime = await opened.text('#uptime');
    await textChanges(opened, '#uptime', uptime);
    expect(await opened.text('#connection')).toBe('live');
  });

  test('a symbol is text, whatever is in it', async () => {
    const hostile = '<img/src=x>USDT';
    const { url } = await startPage({ symbols: ['BTC/USDT', '<b>X/USDT'] });
    const opened = await openPage(browser, `${url}?symbol=${encodeURIComponent(hostile)}`);
    const { page } = opened;
    // An address with a symbol that is not streamed shows the first.
    await holds(opened, `document.querySelector('#symbol').value === 'BTC/USDT'`);
    await page.selectOption('#symbol', '<b>X/USDT');
    await holds(opened, `document.querySelectorAll('#trades tbody tr').length > 0`);
    expect(await page.locator('#streams tbody th').allInnerTexts()).toContain('<b>X/USDT');
    expect(await page.evaluate(`document.querySelectorAll('main b').length`)).toBe(0);
  });
});
