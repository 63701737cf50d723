/** The status page: what the daemon tells at /events, shown. Asks nobody else for anything. */
import { createCandleChart } from './chart.js';
import { showMarket } from './market.js';
import { showStatus } from './tables.js';
import { setBadge, setText } from './text.js';

const RETRY_MS = 5_000;
/** The daemon speaks each second. */
const SILENT_AFTER_MS = 5_000;

const byId = (id) => document.getElementById(id);
const chart = createCandleChart(byId('chart'), byId('candle'));
const select = byId('symbol');

let symbol = new URLSearchParams(location.search).get('symbol');
let source;
let retrying;
let heardAtMs = 0;
let announced = '';

function connect() {
  disconnect();
  if (document.hidden) return;
  setBadge(byId('connection'), 'connecting', 'warn');
  source = new EventSource(symbol ? `events?symbol=${encodeURIComponent(symbol)}` : 'events');
  listen('status', (status) => {
    showSymbols(status.symbols);
    showStatus(status);
    announce(`${status.exchange} is ${status.status}`);
  });
  listen('market', (market) => {
    showMarket(market);
    if (market.candle) chart.showOpen(market.candle);
  });
  listen('candles', ({ candles }) => chart.showClosed(candles));
  source.addEventListener('error', lost);
}

function disconnect() {
  clearTimeout(retrying);
  source?.close();
  source = undefined;
}

function listen(name, show) {
  source.addEventListener(name, ({ data }) => {
    heardAtMs = performance.now();
    setBadge(byId('connection'), 'live', 'good');
    show(JSON.parse(data));
  });
}

/** The browser dials again by itself, unless it was refused. */
function lost() {
  const isRefused = source?.readyState === EventSource.CLOSED;
  setBadge(byId('connection'), 'no connection', 'bad');
  announce('Live data is interrupted');
  if (isRefused) void retry(source);
}

/** An EventSource does not tell why it was refused. */
async function retry(refused) {
  const { status } = await fetch(refused.url, { method: 'HEAD' }).catch(() => ({ status: 0 }));
  if (source !== refused) return;
  if (status === 404 && symbol) {
    // The symbol of the address is not streamed here.
    symbol = null;
    connect();
    return;
  }
  if (status === 503) setBadge(byId('connection'), 'too many watch, trying again', 'bad');
  retrying = setTimeout(connect, RETRY_MS);
}

function watchSilence() {
  const silentMs = performance.now() - heardAtMs;
  if (source?.readyState !== EventSource.OPEN || silentMs < SILENT_AFTER_MS) return;
  setBadge(byId('connection'), `no news for ${Math.round(silentMs / 1000)} s`, 'bad');
}

/** To screen readers: only when it is another state than before. */
function announce(text) {
  if (text === announced) return;
  announced = text;
  setText(byId('announcement'), text);
}

function showSymbols(symbols) {
  if (select.options.length === symbols.length) return;
  select.replaceChildren(...symbols.map((name) => new Option(name, name)));
  symbol ??= symbols[0];
  select.value = symbol;
  label();
}

function choose() {
  symbol = select.value;
  history.replaceState(null, '', `?symbol=${encodeURIComponent(symbol)}`);
  chart.clear();
  showMarket({ trades: [] });
  label();
  connect();
}

function label() {
  byId('chart').ariaLabel = `Candles of one minute and volume of ${symbol}`;
}

select.addEventListener('change', choose);
// Nobody looks: the daemon need not tell.
document.addEventListener('visibilitychange', () => (document.hidden ? disconnect() : connect()));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => chart.paint());
setInterval(watchSilence, 1_000);
chart.paint();
connect();
