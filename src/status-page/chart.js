/**
 * Candles and volume. Only here are prices floats, for drawing; the digits under the caption are the
 * exchange's. Closed candles come from the daemon; the open one is made of the trades since the page
 * is open, and stays until the daemon has the closed one.
 */
import {
  CandlestickSeries,
  createChart,
  CrosshairMode,
  HistogramSeries,
} from './lightweight-charts.js';
import { setDigits } from './text.js';

const MAX_CANDLES = 500;

export function createCandleChart(container, facts) {
  const chart = createChart(container, {
    autoSize: true,
    // Its style element is not allowed here; the attribution is in the footer.
    layout: {
      attributionLogo: false,
      fontSize: 11,
      fontFamily: getComputedStyle(container).fontFamily,
    },
    crosshair: { mode: CrosshairMode.Normal },
    // The wheel and the finger scroll the page.
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
    kineticScroll: { touch: false, mouse: false },
    timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 2, barSpacing: 9 },
  });
  const candleSeries = chart.addSeries(CandlestickSeries, { borderVisible: false });
  const volumeSeries = chart.addSeries(HistogramSeries, {
    priceScaleId: 'volume',
    priceFormat: { type: 'volume' },
    lastValueVisible: false,
    priceLineVisible: false,
  });
  candleSeries.priceScale().applyOptions({ scaleMargins: { top: 0.06, bottom: 0.24 } });
  volumeSeries.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });

  /** By time. */
  let candles = new Map();
  let colors = {};

  function paint() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    colors = { up: color('bid-bar'), down: color('ask-bar') };
    chart.applyOptions({
      layout: { background: { color: color('panel') }, textColor: color('muted') },
      grid: { vertLines: { color: color('line') }, horzLines: { color: color('line') } },
      rightPriceScale: { borderColor: color('line') },
      timeScale: { borderColor: color('line') },
    });
    const [upColor, downColor] = [color('good'), color('bad')];
    candleSeries.applyOptions({
      upColor,
      downColor,
      wickUpColor: upColor,
      wickDownColor: downColor,
    });
    draw();
  }

  function draw() {
    const sorted = [...candles.values()].toSorted((a, b) => a.timeMs - b.timeMs);
    for (const { timeMs } of sorted.splice(0, sorted.length - MAX_CANDLES)) candles.delete(timeMs);
    candleSeries.applyOptions({ priceFormat: priceFormat(sorted) });
    candleSeries.setData(sorted.map(bar));
    volumeSeries.setData(sorted.map(volumeBar));
    describe(sorted.at(-1));
  }

  function bar({ timeMs, open, high, low, close }) {
    const [o, h, l, c] = [open, high, low, close].map(Number);
    return { time: timeMs / 1000, open: o, high: h, low: l, close: c };
  }

  function volumeBar({ timeMs, open, close, volume }) {
    const color = Number(close) < Number(open) ? colors.down : colors.up;
    return { time: timeMs / 1000, value: Number(volume), color };
  }

  function describe(candle) {
    const names = ['open', 'high', 'low', 'close', 'volume'];
    names.forEach((name, index) => {
      setDigits(facts.querySelectorAll('dd')[index], candle?.[name] ?? '–');
    });
  }

  return {
    paint,
    clear() {
      candles = new Map();
      draw();
    },
    showClosed(closed) {
      for (const candle of closed) candles.set(candle.timeMs, candle);
      draw();
    },
    showOpen(candle) {
      const newest = Math.max(...candles.keys());
      // The daemon has closed it already.
      if (candles.get(candle.timeMs)?.isOpen === undefined && candle.timeMs <= newest) return;
      candles.set(candle.timeMs, { ...candle, isOpen: true });
      if (candle.timeMs > newest) {
        draw();
        return;
      }
      candleSeries.update(bar(candle));
      volumeSeries.update(volumeBar(candle));
      describe(candle);
    },
  };
}

/** As many digits as the prices have, zeros at the end aside. */
function priceFormat(candles) {
  const digits = candles.slice(-20).map(({ close }) => {
    const fraction = close.split('.')[1] ?? '';
    return fraction.replace(/0+$/, '').length;
  });
  const precision = Math.max(2, ...digits);
  return { type: 'price', precision, minMove: 1 / 10 ** precision };
}
