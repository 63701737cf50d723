/** The daemon: tiles, reasons, streams, parts. Rows are kept and changed in place. */
import { bytes, duration, milliseconds, rate, setBadge, setDigits, setText } from './text.js';

const KIND_OF_HEALTH = { ok: 'good', degraded: 'warn', failing: 'bad' };
const KIND_OF_STATE = { live: 'good', connecting: 'warn', stale: 'bad' };
/** Which price of a stream is shown. */
const PRICE_OF = { trades: 'last', candles: 'close', order_book: 'bid' };

const byId = (id) => document.getElementById(id);

export function showStatus(status) {
  const { exchange, version, parts } = status;
  document.title = `${status.status} · hyperfeed ${exchange}`;
  setText(byId('exchange'), exchange);
  setBadge(byId('health'), status.status, KIND_OF_HEALTH[status.status]);
  setText(byId('version'), version);
  setText(byId('uptime'), duration(status.uptimeSeconds));
  showTiles(status);
  showReasons(status.reasons);
  showRows(byId('streams'), status.streams, ({ channel, symbol }) => `${channel} ${symbol}`, {
    create: newStream,
    update: updateStream,
  });
  showRows(byId('parts'), Object.entries(parts), ([name]) => name, {
    create: newPart,
    update: updatePart,
  });
}

function showTiles({ parts, stored, waiting }) {
  const { feed, store, redis, gaps } = parts;
  const open = feed?.connections;
  setText(byId('connections'), open ? `${open.open} of ${open.wanted}` : '–');
  setText(byId('books'), String(feed?.orderBooksInSync ?? '–'));
  setBadge(byId('store'), store?.state ?? '–', { halted: 'bad', connecting: 'warn' }[store?.state]);
  setText(byId('store-lag'), milliseconds(store?.lagMs));
  setText(byId('spool'), store?.spool ? bytes(store.spool.bytes) : '–');
  setText(byId('waiting'), String(waiting));
  setBadge(byId('redis'), describeRedis(redis), redis && !redis.connected && 'bad');
  const missing = gaps?.missing > 0 ? `, ${gaps.missing} missing` : '';
  setText(byId('gaps'), gaps ? `${gaps.open}${missing}` : '–');
  for (const { table, perSecond } of stored) setText(byId(`stored-${table}`), rate(perSecond));
}

function describeRedis(redis) {
  if (!redis) return 'off';
  if (!redis.connected) return 'down';
  return redis.oldestSeconds > 0 ? `${redis.oldestSeconds} s behind` : 'up';
}

function showReasons(reasons) {
  const section = byId('reasons');
  const text = JSON.stringify(reasons);
  if (section.dataset.shown === text) return;
  section.dataset.shown = text;
  section.hidden = reasons.length === 0;
  section.querySelector('ul').replaceChildren(
    ...reasons.map(({ part, code, severity, detail }) => {
      const item = document.createElement('li');
      const word = document.createElement('b');
      word.className = KIND_OF_HEALTH[severity];
      word.textContent = severity;
      item.append(word, ` ${part} ${code}: ${detail}`);
      return item;
    }),
  );
}

/** One row of `table` for each item, in their order; `key` tells which row is whose. */
function showRows(table, items, key, { create, update }) {
  const body = table.tBodies[0];
  const rows = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  items.forEach((item, index) => {
    const name = key(item);
    const row = rows.get(name) ?? create(item);
    rows.delete(name);
    row.dataset.key = name;
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
    update(row, item);
  });
  for (const row of rows.values()) row.remove();
}

/** Class, and the name that is shown where there is no room for the heads of the columns. */
const STREAM_CELLS = {
  channel: ['channel start'],
  state: ['state start'],
  price: ['price'],
  lag: ['', 'Lag'],
  age: ['', 'Age'],
  rows: ['', 'Rows/s'],
  messages: ['', 'Msg/s'],
  missing: ['', 'Missing'],
  provenance: ['provenance start'],
};

/** Roles are written out, for on a narrow screen the row is laid out as a grid. */
function newStream({ symbol, channel, provenance }) {
  const row = document.createElement('tr');
  row.role = 'row';
  const head = document.createElement('th');
  head.scope = 'row';
  head.role = 'rowheader';
  head.className = 'start';
  head.textContent = symbol;
  row.append(head);
  for (const [name, [className, shown]] of Object.entries(STREAM_CELLS)) {
    const cell = document.createElement('td');
    cell.role = 'cell';
    cell.className = className;
    cell.dataset.cell = name;
    if (shown) cell.dataset.name = shown;
    row.append(cell);
  }
  const [price, kind] = [document.createElement('span'), document.createElement('span')];
  price.className = 'digits';
  kind.className = 'kind';
  kind.textContent = PRICE_OF[channel];
  cellOf(row, 'price').append(price, kind);
  cellOf(row, 'channel').textContent = channel.replace('_', ' ');
  cellOf(row, 'provenance').textContent = provenance;
  return row;
}

function updateStream(row, stream) {
  row.classList.toggle('first', row.previousElementSibling?.cells[0].textContent !== stream.symbol);
  setBadge(cellOf(row, 'state'), stream.state, KIND_OF_STATE[stream.state]);
  setDigits(row.querySelector('.digits'), stream.price ?? '–');
  setText(cellOf(row, 'lag'), milliseconds(stream.lagMs));
  setText(cellOf(row, 'age'), milliseconds(stream.silentMs));
  setText(cellOf(row, 'rows'), rate(stream.rowsPerSecond));
  setText(cellOf(row, 'messages'), rate(stream.messagesPerSecond));
  const { missing } = stream;
  setBadge(cellOf(row, 'missing'), String(missing ?? '–'), missing > 0 && 'bad');
}

function newPart([name]) {
  const row = document.createElement('tr');
  const head = document.createElement('th');
  head.scope = 'row';
  head.className = 'start';
  head.textContent = name;
  row.append(head);
  for (const cellName of ['ready', 'state']) {
    const cell = document.createElement('td');
    cell.className = 'start';
    cell.dataset.cell = cellName;
    row.append(cell);
  }
  return row;
}

function updatePart(row, [, { ready, ...state }]) {
  setBadge(cellOf(row, 'ready'), ready ? 'yes' : 'no', ready ? 'good' : 'warn');
  setText(cellOf(row, 'state'), describe(state));
}

/** `state storing, spool.bytes 0`: whatever a part says. */
function describe(state, prefix = '') {
  return Object.entries(state)
    .map(([name, value]) =>
      typeof value === 'object' && value !== null
        ? describe(value, `${prefix}${name}.`)
        : `${prefix}${name} ${value}`,
    )
    .filter(Boolean)
    .join(', ');
}

function cellOf(row, name) {
  return row.querySelector(`[data-cell="${name}"]`);
}
