/** The files of the page: read once, served with an ETag. Nothing of it comes from elsewhere. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Answer, Route } from '../http-server.ts';

const SCRIPT = 'text/javascript; charset=utf-8';

/** Path -> file and type. */
const FILES: readonly (readonly [path: string, file: URL, type: string])[] = [
  ['/', own('page.html'), 'text/html; charset=utf-8'],
  ['/page.css', own('page.css'), 'text/css; charset=utf-8'],
  ['/page.js', own('page.js'), SCRIPT],
  ['/tables.js', own('tables.js'), SCRIPT],
  ['/market.js', own('market.js'), SCRIPT],
  ['/chart.js', own('chart.js'), SCRIPT],
  ['/text.js', own('text.js'), SCRIPT],
  [
    '/lightweight-charts.js',
    new URL(
      './dist/lightweight-charts.standalone.production.mjs',
      import.meta.resolve('lightweight-charts/package.json'),
    ),
    SCRIPT,
  ],
];

const HEADERS = {
  // The page asks this server and no other; no inline script or style.
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  // Kept, and asked for again each time: 304 unless the daemon is another version.
  'Cache-Control': 'no-cache',
};

export function loadAssets(): Record<string, Route> {
  return Object.fromEntries(FILES.map(([path, file, type]) => [path, assetRoute(file, type)]));
}

function assetRoute(file: URL, type: string): Route {
  const body = readFileSync(file);
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  const headers = { ...HEADERS, ETag: etag };
  return async ({ headers: asked }): Promise<Answer> => {
    const known = (asked['if-none-match'] ?? '').split(',').map((tag) => tag.trim());
    return known.includes(etag) || known.includes(`W/${etag}`)
      ? { status: 304, headers }
      : { status: 200, type, body, headers };
  };
}

function own(name: string): URL {
  return new URL(name, import.meta.url);
}
