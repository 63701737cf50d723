/** What the writers rely on, table by table: the columns that they fill, the keys of ON CONFLICT. */
import { ROLLUPS } from './series.ts';

export interface TableNeeds {
  readonly table: string;
  /** Types as PostgreSQL spells them. */
  readonly columns: Readonly<Record<string, string>>;
  /** Of ON CONFLICT, where there is one. */
  readonly uniqueKey?: readonly string[];
  readonly privileges: readonly ('SELECT' | 'INSERT' | 'UPDATE')[];
}

const STAMP = {
  time: 'timestamp with time zone NOT NULL',
  symbol: 'character varying(64) NOT NULL',
  exchange: 'character varying(50) NOT NULL',
};

const CANDLE = {
  ...STAMP,
  open: 'numeric NOT NULL',
  high: 'numeric NOT NULL',
  low: 'numeric NOT NULL',
  close: 'numeric NOT NULL',
  volume: 'numeric NOT NULL',
};

export const WRITER_NEEDS: readonly TableNeeds[] = [
  {
    table: 'market_data',
    columns: { ...CANDLE, trades: 'integer' },
    uniqueKey: ['time', 'exchange', 'symbol'],
    privileges: ['SELECT', 'INSERT', 'UPDATE'], // an exchange corrects candles
  },
  ...ROLLUPS.map((table): TableNeeds => ({
    table,
    columns: { ...CANDLE, trades: 'bigint' },
    uniqueKey: ['time', 'exchange', 'symbol'],
    privileges: ['SELECT', 'INSERT', 'UPDATE'],
  })),
  {
    table: 'order_book',
    columns: { ...STAMP, bids: 'jsonb', asks: 'jsonb' },
    uniqueKey: ['time', 'exchange', 'symbol'],
    privileges: ['SELECT', 'INSERT'],
  },
  {
    table: 'trades',
    columns: {
      ...STAMP,
      trade_id: 'character varying(100)',
      side: 'character varying(4) NOT NULL',
      price: 'numeric NOT NULL',
      quantity: 'numeric NOT NULL',
    },
    uniqueKey: ['time', 'exchange', 'symbol', 'trade_id'],
    privileges: ['SELECT', 'INSERT'],
  },
  {
    table: 'system_logs',
    columns: {
      time: STAMP.time,
      level: 'character varying(10) NOT NULL',
      component: 'character varying(100) NOT NULL',
      exchange: STAMP.exchange,
      message: 'text NOT NULL',
      context: 'jsonb NOT NULL',
    },
    privileges: ['SELECT', 'INSERT'],
  },
  {
    table: 'symbols',
    columns: {
      symbol: 'character varying(64) NOT NULL',
      exchange: 'character varying(50) NOT NULL',
      base_currency: 'character varying(32) NOT NULL',
      quote_currency: 'character varying(32) NOT NULL',
      status: 'character varying(20)',
      min_order_size: 'numeric',
      max_order_size: 'numeric',
      price_precision: 'integer',
      quantity_precision: 'integer',
    },
    uniqueKey: ['symbol', 'exchange'],
    privileges: ['SELECT', 'INSERT', 'UPDATE'],
  },
  {
    // By hyperfeed_roll_up.
    table: 'hyperfeed_series',
    columns: { name: 'name NOT NULL', dropped_before: 'timestamp with time zone NOT NULL' },
    uniqueKey: ['name'],
    privileges: ['SELECT'],
  },
  {
    table: 'ingest_cursor',
    columns: {
      exchange: 'character varying(50) NOT NULL',
      channel: 'character varying(20) NOT NULL',
      symbol: 'character varying(64) NOT NULL',
      last_id: 'numeric(40,0) NOT NULL',
      last_time: 'timestamp with time zone NOT NULL',
      updated_at: 'timestamp with time zone NOT NULL',
    },
    uniqueKey: ['exchange', 'channel', 'symbol'],
    privileges: ['SELECT', 'INSERT', 'UPDATE'],
  },
  {
    table: 'ingest_gaps',
    columns: {
      exchange: 'character varying(50) NOT NULL',
      channel: 'character varying(20) NOT NULL',
      symbol: 'character varying(64) NOT NULL',
      from_id: 'numeric(40,0)',
      to_id: 'numeric(40,0)',
      next_id: 'numeric(40,0)',
      from_time: 'timestamp with time zone NOT NULL',
      to_time: 'timestamp with time zone NOT NULL',
      detected_at: 'timestamp with time zone NOT NULL',
      status: 'text NOT NULL',
      rows_filled: 'bigint NOT NULL',
      reason: 'text',
      closed_at: 'timestamp with time zone',
    },
    privileges: ['SELECT', 'INSERT', 'UPDATE'],
  },
  {
    table: 'ingest_quarantine',
    columns: {
      exchange: 'character varying(50) NOT NULL',
      table_name: 'text NOT NULL',
      column_names: 'text[] NOT NULL',
      epoch: 'text NOT NULL',
      seq: 'bigint NOT NULL',
      position: 'integer NOT NULL',
      line: 'bytea NOT NULL',
      sqlstate: 'character(5) NOT NULL',
      message: 'text NOT NULL',
      replayed_at: 'timestamp with time zone',
    },
    privileges: ['SELECT', 'INSERT', 'UPDATE'],
  },
  {
    table: 'ingest_watermark',
    columns: {
      exchange: 'character varying(50) NOT NULL',
      epoch: 'text NOT NULL',
      seq: 'bigint NOT NULL',
      updated_at: 'timestamp with time zone NOT NULL',
    },
    uniqueKey: ['exchange', 'epoch'],
    privileges: ['SELECT', 'INSERT', 'UPDATE'],
  },
];
