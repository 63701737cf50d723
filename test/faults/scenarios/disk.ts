/** The disk of the spool is full, by its own backlog and by others. */
import { writeFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../../src/embedded/run.ts';
import { createThrowawayFolder } from '../../../src/embedded/throwaway.ts';
import type { Flow } from '../flow.ts';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';

const MIB = 1024 * 1024;

async function noTmpfs(): Promise<string | undefined> {
  const folder = await createThrowawayFolder();
  try {
    await run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder.path]);
    await run(['umount', folder.path]);
    return undefined;
  } catch {
    return 'a tmpfs cannot be mounted here: that takes root';
  } finally {
    await folder.remove();
  }
}

async function expectAlive({ daemon }: Flow): Promise<void> {
  if (daemon().hasEnded()) throw new Error('the daemon ended');
  if (!/ok|live/i.test(await daemon().page('/livez'))) throw new Error('/livez does not say so');
}

/** All that is left, and then it is not enough. */
async function fill(path: string): Promise<void> {
  const piece = Buffer.alloc(64 * 1024, 1);
  let bytes = Buffer.alloc(0);
  for (;;) {
    bytes = Buffer.concat([bytes, piece]);
    try {
      await writeFile(path, bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
      throw error;
    }
  }
}

export const diskScenarios: readonly Scenario[] = [
  {
    name: 'disk-full',
    what: 'the volume of the spool (tmpfs) is filled by another, and then by the backlog of a stopped PostgreSQL',
    short: true,
    missing: noTmpfs,
    faults: (size) => ({ 'no space': 1, 'backlog beyond the disk': size === 'short' ? 1 : 2 }),
    flow: {
      spoolOn: { tmpfsBytes: 4 * MIB },
      settings: {
        'spool.segmentBytes': 65_536,
        'spool.memoryBytes': 256 * 1024,
        'spool.unwrittenBytes': 512 * 1024,
        'spool.maxBytes': 3 * MIB,
      },
      limits: { spoolBytes: 4 * MIB },
    },
    async run(flow) {
      await flow.begin();
      const filler = join(flow.spool, 'filler');
      await fill(filler);
      await sleep(3_000);
      flow.world.happened('no space');
      await expectAlive(flow);
      await rm(filler);
      await flow.flowing();
      for (let full = 0; full < flow.world.planned('backlog beyond the disk'); full++) {
        await flow.postgres.stop();
        const before = await flow.exchange.emitted();
        // Twice what the volume and the memory hold.
        await until(
          'more than the disk holds',
          async () => {
            await flow.exchange.burst(flow.world.pick(flow.symbols), 2_000);
            return (await flow.exchange.emitted()) - before > 80_000;
          },
          { everyMs: 50, timeoutMs: 60_000 },
        );
        flow.world.happened('backlog beyond the disk');
        await expectAlive(flow);
        await flow.postgres.restart();
        await flow.flowing(90_000);
      }
    },
  },
];
