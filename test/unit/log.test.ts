import { Writable } from 'node:stream';
import { ReplyError } from 'redis-errors';
import { DatabaseError } from 'pg-protocol';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createLogger, createRateLimitedLogger, scrub } from '../../src/log.ts';
