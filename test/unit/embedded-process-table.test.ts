import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { commandLine, isAlive } from '../../src/embedded/process-table.ts';
import { waitFor } from '../support/stack.ts';

test('a living process is alive and shows its command line', async () => {
  expect(isAlive(process.pid)).toBe(true);
  expect(await commandLine(process.pid)).toContain('node');
});

test('a process that has ended is not alive, nor is one that nobody has buried', async () => {
  // The shell becomes a program that never asks after its child; the child ends after that.
  const parent = spawn('sh', ['-c', 'exec 3<&0; read -r _ <&3 & echo $!; exec sleep 60']);
  const parentEnded = once(parent, 'exit');
  onTestFinished(() => void parent.kill());
  const [line] = await once(parent.stdout, 'data');
  const zombie = Number(String(line));
  const replaced = async () => (await commandLine(parent.pid ?? 0)).startsWith('sleep');
  await waitFor(replaced, { what: 'the shell to become another program' });
  parent.stdin.end();
  await waitFor(() => !isAlive(zombie), { what: 'the death of a child' });
  expect(process.kill(zombie, 0)).toBe(true);
  expect(await commandLine(zombie)).toBe('');

  parent.kill();
  await parentEnded;
  expect(isAlive(parent.pid ?? 0)).toBe(false);
});
