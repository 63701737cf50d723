/** One symbol: last price, order book, latest trades. */
import { clock, difference, setDigits, setText } from './text.js';

const LEVELS = 10;

const byId = (id) => document.getElementById(id);

export function showMarket({ trades, book }) {
  showLast(trades[0]);
  showTrades(trades);
  showBook(book ?? { bids: [], asks: [] });
}

function showLast(trade) {
  const last = byId('last-price');
  setDigits(last, trade?.price ?? '–');
  last.className = trade?.side ?? '';
}

function showTrades(trades) {
  const rows = rowsOf(byId('trades'), trades.length, ['start', 'start', '', '']);
  trades.forEach(({ side, price, quantity, timeMs }, index) => {
    const [time, sideCell, priceCell, amount] = rows[index].cells;
    setText(time, clock(timeMs));
    setText(sideCell, side);
    sideCell.className = `start ${side}`;
    setDigits(priceCell, price);
    setDigits(amount, quantity);
  });
}

function showBook({ bids, asks, timeMs }) {
  const best = { bids: bids.slice(0, LEVELS), asks: asks.slice(0, LEVELS) };
  const depths = { bids: cumulated(best.bids), asks: cumulated(best.asks) };
  const deepest = Math.max(depths.bids.at(-1) ?? 0, depths.asks.at(-1) ?? 0);
  const shares = (side) => depths[side].map((depth) => (deepest > 0 ? depth / deepest : 0));
  showSide('bids', best.bids, shares('bids'));
  showSide('asks', best.asks.toReversed(), shares('asks').toReversed());
  const [bid] = bids[0] ?? [];
  const [ask] = asks[0] ?? [];
  setDigits(byId('spread'), bid && ask ? difference(ask, bid) : '–');
  setText(byId('book-time'), timeMs === undefined ? '–' : clock(timeMs).slice(0, 8));
}

/** What lies between the middle and each level. For the bars alone, so floats will do. */
function cumulated(levels) {
  let sum = 0;
  return levels.map(([, amount]) => (sum += Number(amount)));
}

function showSide(id, levels, shares) {
  const rows = rowsOf(byId(id), levels.length, ['price', '']);
  levels.forEach(([price, amount], index) => {
    const row = rows[index];
    setDigits(row.cells[0], price);
    setDigits(row.cells[1], amount);
    row.style.setProperty('--depth', `${(100 * shares[index]).toFixed(1)}%`);
  });
}

/** So many rows, each with a cell for each class. */
function rowsOf(table, count, classes) {
  const body = table.tBodies[0];
  while (body.rows.length > count) body.deleteRow(-1);
  while (body.rows.length < count) {
    const row = body.insertRow();
    for (const name of classes) row.insertCell().className = name;
  }
  return body.rows;
}
