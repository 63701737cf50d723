/** The clock of the daemon is wrong, steps, drifts (libfaketime); that of the exchange is right. */
import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Scenario } from '../scenario.ts';
import { until } from '../world.ts';

const PLACES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
  (machine) => `/usr/lib/${machine}/faketime/libfaketime.so.1`,
);

async function library(): Promise<string | undefined> {
  for (const path of PLACES) {
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

/** Timers stay right: they are monotonic. */
const faked = async (more: Readonly<Record<string, string>>) => ({
  LD_PRELOAD: (await library()) ?? '',
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
  ...more,
});

const SHIFTS = ['+1h', '-10m', '+0 x1.01'];

export const clockScenarios: readonly Scenario[] = [
  {
    name: 'clock',
    what: 'the clock of the daemon is an hour ahead, ten minutes behind, 1 % too fast, and steps while it runs',
    missing: async () =>
      (await library()) === undefined
        ? 'libfaketime is not here: apt-get install libfaketime'
        : undefined,
    faults: () => ({ 'clock wrong': SHIFTS.length, 'clock steps': 2 }),
    async run(flow) {
      await flow.begin();
      for (const shift of SHIFTS) {
        await flow.daemon().stop();
        const daemon = flow.startDaemon({}, await faked({ FAKETIME: shift }));
        await flow.listened();
        await flow.flowing();
        await sleep(2_000);
        const { time } = await daemon.says('storing');
        const offMs = Date.parse(String(time)) - Date.now();
        if (shift.includes('x') || Math.abs(offMs) > 300_000) flow.world.happened('clock wrong');
        await expectNotStale(flow);
      }
      await flow.daemon().stop();
      const file = join(flow.folder, 'clock');
      await writeFile(file, '+0\n');
      const environment = { FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' };
      flow.startDaemon({}, await faked(environment));
      await flow.listened();
      for (const step of ['-5s', '+90s']) {
        await flow.flowing();
        await writeFile(file, `${step}\n`);
        flow.world.happened('clock steps');
        await sleep(2_000);
        await expectNotStale(flow);
      }
      await flow.flowing();
    },
  },
];

async function expectNotStale({ daemon }: Parameters<Scenario['run']>[0]): Promise<void> {
  await until(
    'no stream to be stale',
    async () => !(await daemon().page('/health')).includes('stale'),
    {
      timeoutMs: 5_000,
    },
  );
}
