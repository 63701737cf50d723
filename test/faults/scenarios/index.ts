/** All scenarios, in the order of the table. */
import type { Scenario } from '../scenario.ts';
import { clockScenarios } from './clock.ts';
import { crashScenarios } from './crash.ts';
import { databaseScenarios } from './database.ts';
import { diskScenarios } from './disk.ts';
import { failpointScenarios } from './failpoints.ts';
import { pairScenarios } from './pairs.ts';
import { redisScenarios } from './redis.ts';
import { rowScenarios } from './rows.ts';
import { socketScenarios } from './sockets.ts';
import { startScenarios } from './start.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...crashScenarios,
  ...failpointScenarios,
  ...databaseScenarios,
  ...socketScenarios,
  ...redisScenarios,
  ...diskScenarios,
  ...rowScenarios,
  ...pairScenarios,
  ...clockScenarios,
  ...startScenarios,
];
