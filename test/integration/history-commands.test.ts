/** backfill, verify and export by the examples of their help; and of an exchange of ccxt. */
import { expect, test } from 'vitest';
import { environmentOf, runHyperfeed, simulate, temporaryFolder } from '../support/daemon.ts';
import { withoutContracts } from '../support/ccxt.ts';
import { examplesOf, leaves, pathOf, quietProgram } from '../support/help.ts';
import { migratedDatabase } from '../support/history.ts';

const commands = leaves(quietProgram(() => undefined));

test('the examples of the help, as they stand there', async () => {
  const simulation = await simulate({ tradesPerSecond: 0, symbols: ['BTC/USDT'] });
  const database = await migratedDatabase();
  const env = { ...environmentOf(simulation.settings), DATABASE_URL: database.url };
  const cwd = await temporaryFolder();
  // The simulation speaks as Binance does.
  const words: Readonly<Record<string, string>> = {
    okx: 'binance',
    coinbase: 'binance',
    'BTC/USD': 'BTC/USDT',
  };
  for (const name of ['backfill', 'verify', 'export']) {
    const command = commands.find((one) => pathOf(one) === name)!;
    for (const { args } of examplesOf(command)) {
      const line = args.map((word) => words[word] ?? word);
      const { code, stdout, stderr } = await runHyperfeed(line, { env, cwd });
      const said = [line.join(' '), stderr.filter((text) => !/ rows of trades in /.test(text))];
      expect(said).toEqual([line.join(' '), []]);
      // What trades lacks is there to be found.
      expect(name === 'verify' ? [0, 1] : [0]).toContain(code);
      if (!line.includes('-o')) expect(stdout.length).toBeGreaterThan(0);
    }
  }
});

test('candles of an exchange of ccxt: stored, verified; its trades cannot be had', async () => {
  const simulation = await simulate({ tradesPerSecond: 0, symbols: ['BTC/USDT'] });
  const database = await migratedDatabase();
  const settings = {
    ...simulation.settings,
    'connection.restUrl': await withoutContracts(simulation.settings['connection.restUrl']),
  };
  const env = { ...environmentOf(settings), DATABASE_URL: database.url };
  const to = new Date(Date.now() - 150_000).toJSON();
  const run = (command: string, ...flags: string[]) =>
    runHyperfeed([command, '-e', 'ccxt:binance', '--from', '50m ago', '--to', to, ...flags], {
      env,
    });
  const { code, stderr } = await run('backfill');
  expect([code, stderr]).toEqual([0, []]);
  const [stored, ...others] = await database.query(
    'SELECT exchange, count(*)::int AS rows FROM market_data GROUP BY exchange',
  );
  expect([stored?.['exchange'], others]).toEqual(['ccxt-binance', []]);
  // The first and the last minute are not whole.
  expect(stored?.['rows']).toBeGreaterThan(44);
  expect((await run('verify')).code).toBe(0);
  const trades = await run('backfill', '--trades');
  expect([trades.code, trades.stderr.join()]).toEqual([2, expect.stringContaining('trades: ccxt')]);
});
