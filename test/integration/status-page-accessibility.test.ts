/** The status page for everybody: narrow and wide, light and dark, by keyboard, read out. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessibleNames, overflow, violations } from '../support/accessibility.ts';
import { chromiumPath, holds, launchBrowser, openPage } from '../support/browser.ts';
import { DESKTOP, PHONE, startPage, SYMBOLS, whenFilled } from '../support/status-page.ts';

describe.skipIf(chromiumPath === undefined)('in Chromium', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  test.each(['light', 'dark'] as const)(
    '%s: legible, named and within its width',
    async (scheme) => {
      const long = '1000000BABYDOGE/USDT';
      const { url } = await startPage({ symbols: [...SYMBOLS, long] });
      const grounds = { light: 'rgb(243, 244, 246)', dark: 'rgb(13, 16, 21)' };
      for (const viewport of [DESKTOP, { width: 850, height: 900 }, PHONE]) {
        const opened = await openPage(browser, url, { viewport, colorScheme: scheme });
        const { page, problems } = opened;
        await whenFilled(opened, 12);
        expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe(
          grounds[scheme],
        );
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(viewport.width);
        expect(await overflow(opened)).toEqual([]);
        expect(await violations(opened)).toEqual([]);
        expect(problems).toEqual([]);
      }
    },
  );

  test.each([DESKTOP, PHONE])(
    '$width px: landmarks, headings and tables for a screen reader',
    async (viewport) => {
      const { url } = await startPage();
      const opened = await openPage(browser, url, { viewport, hasTouch: viewport === PHONE });
      await whenFilled(opened);
      const names = await accessibleNames(opened);
      for (const landmark of ['banner', 'main', 'contentinfo']) {
        expect(names.get(landmark)).toHaveLength(1);
      }
      expect(names.get('navigation')).toEqual(['For programs']);
      expect(names.get('region')).toEqual(['Daemon', 'Market', 'Streams', 'Parts']);
      expect(names.get('heading')).toEqual([
        'hyperfeed binance-simulated',
        'Daemon',
        'Market',
        'Streams',
        'Parts',
      ]);
      expect(names.get('table')?.toSorted()).toEqual([
        'Asks, best last',
        'Bids, best first',
        expect.stringMatching(/^Each part/),
        expect.stringMatching(/^Each stream/),
        'Latest trades, newest first',
      ]);
      expect(names.get('columnheader')).toEqual(
        expect.arrayContaining(['Price', 'Amount', 'State', 'Lag', 'Age', 'Msg/s', 'Provenance']),
      );
      const symbols = names.get('rowheader')?.filter((name) => SYMBOLS.includes(name));
      expect(symbols).toHaveLength(9);
      expect(names.get('cell')?.length).toBeGreaterThan(9 * 9 + 20 * 6);
      expect(names.get('image')).toEqual(['Candles of one minute and volume of BTC/USDT']);
      expect(names.get('combobox')).toEqual(['Symbol']);
      expect(names.get('status')).toHaveLength(1);
    },
  );

  test('by keyboard: past the market, and to another symbol, which the address keeps', async () => {
    const { url } = await startPage();
    const opened = await openPage(browser, url, { viewport: DESKTOP });
    const { page, text } = opened;
    await whenFilled(opened);
    const focused = () =>
      page.evaluate<string[]>(`(() => {
        const { activeElement: one } = document;
        return [one.id || one.textContent, getComputedStyle(one).outlineStyle];
      })()`);
    await page.keyboard.press('Tab');
    expect(await focused()).toEqual(['Skip to the streams', 'solid']);
    await page.keyboard.press('Tab');
    expect(await focused()).toEqual(['symbol', 'solid']);
    await page.keyboard.press('ArrowDown');
    await holds(opened, `document.querySelector('#last-price').textContent.startsWith('3')`);
    expect(page.url()).toBe(`${url}?symbol=ETH%2FUSDT`);
    await page.reload();
    await whenFilled(opened);
    expect(await page.locator('#symbol').inputValue()).toBe('ETH/USDT');
    expect(Number(await text('#last-price'))).toBeLessThan(10_000);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    expect((await focused())[0]).toBe('streams');
    await page.keyboard.press('Tab');
    expect(await focused()).toEqual(['/health', 'solid']);
  });
});
