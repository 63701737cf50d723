/** The time series of the schema: every hypertable, or partitioned table. */

export interface Series {
  readonly table: string;
  /** The width of its chunks or partitions. */
  readonly chunkInterval: '1 day' | '1 month';
  /** Its key in the section `retention` of the configuration. */
  readonly keep:
    | 'marketData'
    | 'longCandles'
    | 'orderBook'
    | 'trades'
    | 'executedOrders'
    | 'performanceMetrics'
    | 'systemLogs';
  /** Has exchange and symbol, by which it compresses well; then by these. */
  readonly compressOrder?: string;
}

export const ROLLUPS = ['5m', '15m', '1h', '4h', '1d'].map((frame) => `market_data_${frame}`);

const CANDLES = { chunkInterval: '1 month', compressOrder: 'time' } as const;

export const SERIES: readonly Series[] = [
  { ...CANDLES, table: 'market_data', keep: 'marketData' },
  ...ROLLUPS.map((table) => ({ ...CANDLES, table, keep: 'longCandles' }) as const),
  { table: 'order_book', chunkInterval: '1 day', keep: 'orderBook', compressOrder: 'time' },
  // Every column of a unique key has to be in the order or in the segments.
  { table: 'trades', chunkInterval: '1 month', keep: 'trades', compressOrder: 'time, trade_id' },
  { table: 'executed_orders', chunkInterval: '1 month', keep: 'executedOrders' },
  { table: 'performance_metrics', chunkInterval: '1 month', keep: 'performanceMetrics' },
  { table: 'system_logs', chunkInterval: '1 month', keep: 'systemLogs' },
];
