import { readFileSync } from 'node:fs';

/** The text of queries/<name>.sql. */
export function loadQuery(name: string): string {
  return readFileSync(new URL(`./queries/${name}.sql`, import.meta.url), 'utf8');
}
