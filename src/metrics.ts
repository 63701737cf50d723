/**
 * Every metric of the daemon, declared once. Base units, `_total` for counters, labels from closed
 * sets. docs/metrics.md is generated from here.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import { accountingError } from './accounting.ts';

const PREFIX = 'hyperfeed_';
const LATENCY_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 60];

export type Metrics = ReturnType<typeof createMetrics>;

/** One registry per daemon, so that several can live in one process (tests). */
export function createMetrics(exchange: string) {
  const registry = new Registry();
  registry.setDefaultLabels({ exchange });
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Counter({ name: PREFIX + name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Gauge({ name: PREFIX + name, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Histogram({ name: PREFIX + name, help, labelNames, registers, buckets: LATENCY_BUCKETS });

  const metrics = {
    registry,
    health: gauge('health', '0 ok, 1 degraded, 2 failing: as /health says.'),
    info: gauge('info', 'Always 1; what is running.', ['version', 'engine']),

    wsConnected: gauge('ws_connected', 'Open sockets to the exchange.'),
    wsReconnects: counter('ws_reconnects_total', 'Sockets that ended, by reason.', ['reason']),
    wsFrames: counter('ws_frames_total', 'Frames received.'),
    wsBytes: counter('ws_bytes_total', 'Bytes of frames received.'),
    decodeErrors: counter('decode_errors_total', 'Frames that could not be trusted, by code.', [
      'code',
    ]),
    events: counter('events_total', 'Normalized events, by type.', ['type']),
    eventLag: histogram('event_lag_seconds', 'Receive time less exchange time of trades.'),
    lastEvent: gauge('last_event_timestamp_seconds', 'When the last event came in, by type.', [
      'type',
    ]),
    streams: gauge('streams', 'Subscribed streams, by state.', ['state']),
    provenance: gauge(
      'series_provenance',
      'Always 1; how it is known that nothing is missing from a channel.',
      ['channel', 'provenance'],
    ),
    sequenceGaps: counter('sequence_gaps_total', 'Holes seen in a sequence of ids, by channel.', [
      'channel',
    ]),
    gapsDetected: counter('gaps_detected_total', 'Holes found in what is stored, by channel.', [
      'channel',
    ]),
    gapsOpen: gauge('gaps_open', 'Gaps that are being refilled.'),
    gapRowsBackfilled: counter('gap_rows_backfilled_total', 'Rows stored that refill a gap.'),
    gapUnfillable: counter('gap_unfillable_total', 'Rows of gaps that cannot be had, by reason.', [
      'reason',
    ]),
    orderBookResyncs: counter('order_book_resyncs_total', 'Order books rebuilt, by reason.', [
      'reason',
    ]),
    orderBooksInSync: gauge('order_books_in_sync', 'Order books that are in sync.'),

    rowsReceived: counter('rows_received_total', 'Rows handed to the spool, by table.', ['table']),
    rowsStored: counter('rows_stored_total', 'Rows committed, by table.', ['table']),
    rowsDuplicate: counter('rows_duplicate_total', 'Rows that the table held already, by table.', [
      'table',
    ]),
    rowsRejected: counter('rows_rejected_total', 'Rows refused before the spool, by reason.', [
      'reason',
    ]),
    rowsReread: gauge(
      'rows_reread',
      'Rows read again from the spool: of an earlier run, or since the server lost them.',
    ),
    rowsKnown: counter('rows_known_total', 'Rows read again that the watermark says are stored.'),
    rowsQuarantined: counter(
      'rows_quarantined_total',
      'Rows that the database refused, kept in ingest_quarantine, by SQLSTATE.',
      ['sqlstate'],
    ),
    standbyRows: gauge('standby_rows', 'Rows in memory while another daemon is active.'),
    rowsLeft: counter(
      'rows_left_total',
      'Rows that came while another daemon was active, and were left to it.',
    ),
    rowsDropped: counter('rows_dropped_total', 'Rows given up on, by reason.', ['reason']),
    spoolBytes: gauge('spool_bytes', 'Bytes on disk that are not stored yet.'),
    spoolRetainedBytes: gauge(
      'spool_retained_bytes',
      'Bytes on disk that are stored, and kept for a while.',
    ),
    spoolMaxBytes: gauge('spool_max_bytes', 'What the spool may take of its disk.'),
    spoolSegments: gauge('spool_segments', 'Segments on disk.'),
    spoolRowsPending: gauge(
      'spool_rows_pending',
      'Rows accepted or about to be, and not yet stored; of this process.',
    ),
    spoolOldestAge: gauge(
      'spool_oldest_age_seconds',
      'Age of the oldest row that is not stored yet.',
    ),
    spoolSync: histogram('spool_sync_seconds', 'Write and fdatasync of one group.'),
    spoolErrors: counter('spool_errors_total', 'Failed operations on the spool.', ['operation']),
    spoolTornBytes: counter(
      'spool_torn_bytes_total',
      'Bytes of a half-written end of a segment, left by a crash.',
    ),
    spoolCorruptFrames: counter(
      'spool_corrupt_frames_total',
      'Frames whose checksum is wrong; set aside.',
    ),
    watermarkSkipped: counter(
      'watermark_skipped_frames_total',
      'Spooled frames that had been committed before.',
    ),

    watermarkRegressions: counter(
      'watermark_regressions_total',
      'Sessions in which the server lacked rows that it had stored: a failover, a backup.',
    ),
    active: gauge('active', '1 while this daemon is the one of its exchange that stores new rows.'),
    databaseUp: gauge('database_up', 'Open sessions of the writer, one per lane.'),
    copyDuration: histogram('copy_duration_seconds', 'One transaction, BEGIN to COMMIT.'),
    copyBatches: counter('copy_batches_total', 'Committed transactions, by path.', ['path']),
    storeErrors: counter(
      'store_errors_total',
      'Failed transactions and sessions, by what was done about them.',
      ['action'],
    ),
    commitLatency: histogram(
      'commit_latency_seconds',
      'Received to committed, oldest row of each batch.',
    ),

    retentionLastRun: gauge(
      'retention_last_run_timestamp_seconds',
      'When old rows were last removed, by any daemon.',
    ),
    retentionNextRun: gauge(
      'retention_next_run_timestamp_seconds',
      'When old rows are due to be removed again.',
    ),
    retentionParts: counter(
      'retention_dropped_parts_total',
      'Chunks or partitions that this daemon dropped, by table.',
      ['table'],
    ),
    retentionRows: counter(
      'retention_deleted_rows_total',
      'Rows past their time that this daemon deleted, by table.',
      ['table'],
    ),
    retentionErrors: counter('retention_errors_total', 'Tables that retention could not clear.'),

    redisUp: gauge('redis_up', '1 while Redis answers.'),
    redisUpdates: counter('redis_updates_total', 'Keys written, by kind.', ['kind']),
    redisCoalesced: counter(
      'redis_coalesced_total',
      'Updates that a newer one replaced before they were sent.',
    ),
    redisOutdated: counter(
      'redis_outdated_total',
      'Updates older than what their key holds; ignored.',
    ),
    redisErrors: counter('redis_errors_total', 'Pipelines that failed, in part or whole.'),
    redisFlush: histogram('redis_flush_seconds', 'One pipeline, send to answer.'),
    redisLatency: histogram(
      'redis_latency_seconds',
      'Received to written, oldest update of each batch.',
    ),
    redisOldestDirty: gauge(
      'redis_oldest_dirty_seconds',
      'Age of the oldest update not yet in Redis.',
    ),

    mirrorActive: gauge('mirror_active', '1 while this daemon mirrors tables into Redis.'),
    mirrorRows: counter('mirror_rows_total', 'Rows copied to Redis or removed, by table.', [
      'table',
    ]),
    mirrorCopy: histogram('mirror_copy_seconds', 'Changed rows of a table, read and copied.'),
    mirrorErrors: counter(
      'mirror_errors_total',
      'Interruptions of the mirror, and refused writes.',
    ),
  };
  const accounting = new Gauge({
    name: `${PREFIX}accounting_error_rows`,
    help: 'Rows received or reread that are neither stored, known, set aside, dropped, left nor waiting: must be 0.',
    registers,
    async collect() {
      this.set(await accountingError(metrics));
    },
  });
  return { ...metrics, accountingError: accounting };
}

/** Memory, CPU, event loop, descriptors, under their usual names: once per process. */
export function collectProcessMetrics({ registry }: Pick<Metrics, 'registry'>): void {
  collectDefaultMetrics({ register: registry });
}
