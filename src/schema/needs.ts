/** What the writers rely on, table by table: the columns that they fill, the keys of ON CONFLICT. */

export interface TableNeeds {
  readonly table: string;
  /** Types as PostgreSQL spells them. */
  readonly columns: Readonly<Record<string, string>>;
  readonly uniqueKey: readonly string[];
  readonly chunkInterval?: string;
  readonly privileges: readonly ('SELECT' | 'INSERT' | 'UPDATE')[];
}

const STAMP = {
  time: 'timestamp with time zone NOT NULL',
  symbol: 'character varying(64) NOT NULL',
  exchange: 'character varying(50) NOT NULL',
};

export const WRITER_NEEDS: readonly TableNeeds[] = [
  {
    table: 'market_data',
    columns: {
      ...STAMP,
      open: 'numeric NOT NULL',
      high: 'numeric NOT NULL',
      low: 'numeric NOT NULL',
      close: 'numeric NOT NULL',
      volume: 'numeric NOT NULL',
      trades: 'integer',
    },
    uniqueKey: ['time', 'exchange', 'symbol'],
    chunkInterval: '1 month',
    privileges: ['SELECT', 'INSERT', 'UPDATE'], // an exchange corrects candles
  },
  {
    table: 'order_book',
    columns: { ...STAMP, bids: 'jsonb', asks: 'jsonb' },
    uniqueKey: ['time', 'exchange', 'symbol'],
    chunkInterval: '1 day',
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
    chunkInterval: '1 month',
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
