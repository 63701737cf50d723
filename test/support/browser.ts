/** Headless Chromium, Debian's, and what a page does in it that it should not. */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { onTestFinished } from 'vitest';
import { waitFor } from './stack.ts';

export const chromiumPath: string | undefined = [
  '/usr/bin/chromium',
  '/usr/bin/google-chrome',
].find((path) => existsSync(path));

export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    ...(chromiumPath === undefined ? {} : { executablePath: chromiumPath }),
    // Its sandbox cannot be had as root.
    args: [
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--force-color-profile=srgb',
      '--disable-lcd-text',
    ],
  });
}

/** A page whose messages, errors and requests are kept. It is closed when the test ends. */
export async function openPage(browser: Browser, url: string, options: BrowserContextOptions = {}) {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
  onTestFinished(() => context.close());
  const page: Page = await context.newPage();
  const problems: string[] = [];
  const requests: string[] = [];
  // Whatever leaves the page comes by here, and nothing goes to another server.
  await context.route('**', (route) => {
    const asked = route.request().url();
    requests.push(asked);
    return new URL(asked).origin === new URL(url).origin ? route.continue() : route.abort();
  });
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(error.message));
  await page.goto(url);
  return {
    page,
    /** Errors and warnings of the console, and what was thrown. */
    problems,
    requests,
    text: (selector: string) => page.locator(selector).innerText(),
  };
}

export type OpenedPage = Awaited<ReturnType<typeof openPage>>;

/** Until this expression is true in the page. Not Playwright's wait: the policy of the page forbids eval. */
export function holds({ page }: OpenedPage, expression: string, timeoutMs = 20_000) {
  const what = `the page: ${expression}`;
  return waitFor(() => page.evaluate<boolean>(expression), { what, timeoutMs });
}

export function textChanges({ text }: OpenedPage, selector: string, from: string) {
  return waitFor(async () => (await text(selector)) !== from, { what: `${selector} to change` });
}
