// While an image is built: all that a container may load is compiled, and kept (see runtime.js).
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

await import('./runtime.js');
const src = new URL('../src/', import.meta.url);
// main.ts would run; of the other two a container has no use.
const exclude = ['main.ts', 'sim', 'embedded', 'commands/up.ts'];
for (const file of globSync('**/*.ts', { cwd: fileURLToPath(src), exclude })) {
  await import(new URL(file, src).href);
}
