/** What the two market data services of Coinbase have in common. The evidence is in the file of each. */
import type { DecodedTrade } from '../adapter.ts';
import type { Instrument, Side } from '../events.ts';
import { idText, isoMicros, positiveDecimal, type Row, shortText, side } from '../wire.ts';

/** The side that is named is the maker's; `takers`: whose order was sold into, the taker sold. */
export function tradeOf(
  row: Row,
  product: unknown,
  takers: Readonly<Record<string, Side>>,
): DecodedTrade {
  return {
    kind: 'trade',
    venueSymbol: shortText(product, 'product_id'),
    tradeId: idText(row.trade_id, 'trade_id'),
    side: side(row.side, 'side', takers),
    price: positiveDecimal(row.price, 'price'),
    quantity: positiveDecimal(row.size, 'size'),
    time: isoMicros(row.time, 'time'),
  };
}

/** Of a product that is online, `disabled` may still say that nothing trades. */
export function statusOf(status: unknown, disabled: boolean): Instrument['status'] {
  if (status === 'online' && !disabled) return 'active';
  return status === 'delisted' ? 'deprecated' : 'inactive';
}
