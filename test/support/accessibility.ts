/** What a page is to those who do not see it as it is drawn. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { OpenedPage } from './browser.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Names by role, as Chromium hands them to assistive technology. */
export async function accessibleNames({ page }: OpenedPage): Promise<Map<string, string[]>> {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send('Accessibility.getFullAXTree');
  const names = new Map<string, string[]>();
  for (const { ignored, role, name } of nodes) {
    if (ignored) continue;
    const key = String(role?.value);
    names.set(key, [...(names.get(key) ?? []), String(name?.value ?? '')]);
  }
  return names;
}

/** What axe finds, contrast included. */
export async function violations({ page }: OpenedPage): Promise<string[]> {
  await page.evaluate(AXE);
  const results = (await page.evaluate('axe.run(document)')) as AxeResults;
  return results.violations.map(({ id, nodes }) => {
    const found = nodes.map(({ html, any }) => `${html} ${any[0]?.message ?? ''}`);
    return `${id}: ${found.join(' | ')}`;
  });
}

/** Elements that stick out on the right of what holds them, be it the window or a section. */
export function overflow({ page }: OpenedPage): Promise<string[]> {
  return page.evaluate<string[]>(`
    // The heads of a folded table are there for screen readers alone.
    [...document.querySelectorAll('body *')]
      .filter((one) => !one.closest('.unseen, .skip, #chart') && one.clientWidth > 0)
      .filter((one) => {
        const head = one.closest('thead');
        return head === null || getComputedStyle(head).position !== 'absolute';
      })
      .filter((one) => {
        const holder = one.closest('section') ?? document.documentElement;
        return one.getBoundingClientRect().right > holder.getBoundingClientRect().right;
      })
      .map((one) => one.outerHTML.slice(0, 80))`);
}
