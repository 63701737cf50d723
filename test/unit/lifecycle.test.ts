import { describe, expect, test } from 'vitest';
import { createLifecycle } from '../../src/lifecycle.ts';
import type { Service } from '../../src/lifecycle.ts';
import { createLogger } from '../../src/log.ts';

const NEVER = new AbortController().signal;

function setup(deadlineMs = 1_000) {
  const steps: string[] = [];
  const lines: string[] = [];
  const logger = createLogger({
    level: 'info',
    destination: { write: (line) => void lines.push(line) },
  });
  const service = (name: string, overrides: Partial<Service> = {}): Service => ({
    name,
    start: async () => void steps.push(`start ${name}`),
    stop: async () => void steps.push(`stop ${name}`),
    ...overrides,
  });
  const lifecycle = (...services: Service[]) => createLifecycle({ services, logger, deadlineMs });
  return { steps, lines, service, lifecycle };
}

describe('start', () => {
  test('in order, one after the other; stop in reverse', async () => {
    const { steps, service, lifecycle } = setup();
    const slow = service('b', {
      start: async () => {
        steps.push('start b');
        await new Promise(setImmediate);
        steps.push('started b');
      },
    });
    const life = lifecycle(service('a'), slow, service('c'));
    await life.start(NEVER);
    expect(steps).toEqual(['start a', 'start b', 'started b', 'start c']);
    steps.length = 0;
    expect(await life.stop()).toEqual({ stragglers: [], failed: [] });
    expect(steps).toEqual(['stop c', 'stop b', 'stop a']);
  });

  test('a failure stops those before it, and is what start rejects with', async () => {
    const { steps, service, lifecycle } = setup();
    const broken = service('c', { start: () => Promise.reject(new Error('port in use')) });
    const life = lifecycle(service('a'), service('b'), broken, service('d'));
    await expect(life.start(NEVER)).rejects.toThrow('port in use');
    expect(steps).toEqual(['start a', 'start b', 'stop b', 'stop a']);
    expect(await life.stop()).toEqual({ stragglers: [], failed: [] });
    expect(steps).toHaveLength(4);
  });

  test('the signal of the caller aborts it', async () => {
    const { steps, service, lifecycle } = setup();
    const caller = new AbortController();
    const impatient = service('a', {
      start: async () => {
        steps.push('start a');
        caller.abort(new Error('enough'));
      },
    });
    await expect(lifecycle(impatient, service('b')).start(caller.signal)).rejects.toThrow('enough');
    expect(steps).toEqual(['start a', 'stop a']);
  });

  test('only once', async () => {
    const { lifecycle } = setup();
    const life = lifecycle();
    await life.start(NEVER);
    await expect(life.start(NEVER)).rejects.toThrow('once');
  });
});

describe('stop', () => {
  test('twice is one stop', async () => {
    const { steps, service, lifecycle } = setup();
    const life = lifecycle(service('a'));
    await life.start(NEVER);
    expect(life.stop()).toBe(life.stop());
    await life.stop();
    expect(steps).toEqual(['start a', 'stop a']);
  });

  test('before start: nothing starts any more', async () => {
    const { steps, service, lifecycle } = setup();
    const life = lifecycle(service('a'));
    await life.stop();
    await expect(life.start(NEVER)).rejects.toThrow('stopped');
    expect(steps).toEqual([]);
  });

  test('during a start that heeds the signal', async () => {
    const { steps, service, lifecycle } = setup();
    const waiting = service('b', {
      start: (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    });
    const life = lifecycle(service('a'), waiting, service('c'));
    const starting = life.start(NEVER);
    await new Promise(setImmediate);
    expect(await life.stop()).toEqual({ stragglers: [], failed: [] });
    await expect(starting).rejects.toThrow('stopped during start');
    expect(steps).toEqual(['start a', 'stop a']);
  });

  test('during a start that succeeds all the same: that service is stopped, too, once', async () => {
    const { steps, service, lifecycle } = setup();
    const gate = Promise.withResolvers<void>();
    const deaf = service('b', { start: () => gate.promise });
    const life = lifecycle(service('a'), deaf, service('c'));
    const starting = life.start(NEVER);
    await new Promise(setImmediate);
    const stopping = life.stop();
    gate.resolve();
    await expect(starting).rejects.toThrow('stopped during start');
    expect(await stopping).toEqual({ stragglers: [], failed: [] });
    expect(steps).toEqual(['start a', 'stop b', 'stop a']);
  });

  test('one that throws does not keep the others running', async () => {
    const { steps, lines, service, lifecycle } = setup();
    const broken = service('b', { stop: () => Promise.reject(new Error('broken')) });
    const life = lifecycle(service('a'), broken, service('c'));
    await life.start(NEVER);
    expect(await life.stop()).toEqual({ stragglers: [], failed: ['b'] });
    expect(steps.slice(3)).toEqual(['stop c', 'stop a']);
    expect(lines.join('')).toContain('service failed to stop');
  });

  test('one that hangs is named after the deadline; those that let go are not', async () => {
    const { steps, lines, service, lifecycle } = setup(50);
    const hanging = service('b', { stop: () => new Promise(() => {}) });
    const lettingGo = service('c', {
      stop: (deadline) =>
        new Promise((resolve) => {
          deadline.addEventListener('abort', () => resolve());
        }),
    });
    const life = lifecycle(service('a'), hanging, lettingGo);
    await life.start(NEVER);
    const startedAt = performance.now();
    expect(await life.stop()).toEqual({ stragglers: ['b'], failed: [] });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(steps.at(-1)).toBe('stop a');
    expect(lines.join('')).toContain('"stragglers":["b"]');
  });

  test('a start that hangs is named as well', async () => {
    const { steps, service, lifecycle } = setup(50);
    const life = lifecycle(service('a'), service('b', { start: () => new Promise(() => {}) }));
    void life.start(NEVER);
    await new Promise(setImmediate);
    expect(await life.stop()).toEqual({ stragglers: ['b (starting)'], failed: [] });
    expect(steps).toEqual(['start a', 'stop a']);
  });
});
