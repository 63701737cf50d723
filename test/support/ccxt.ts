/** Servers for ccxt: what the simulation lacks of Binance, and as much of Kraken as ccxt asks for. */
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';

async function serve(answer: RequestListener) {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, host: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** ccxt asks for the lists of Binance's spot and contract markets; the simulation has the first. */
export async function withoutContracts(restUrl: string): Promise<string> {
  const { host } = await serve((request, response) => {
    const { url = '' } = request;
    response.setHeader('content-type', 'application/json');
    if (/^\/[fd]api\//.test(url)) {
      response.end('{"symbols":[]}');
      return;
    }
    forward(restUrl + url, response).catch(() => response.destroy());
  });
  return `http://${host}`;
}

async function forward(url: string, response: ServerResponse): Promise<void> {
  const answer = await fetch(url);
  response.statusCode = answer.status;
  response.end(await answer.text());
}

const PAIRS = {
  XXBTZUSD: {
    altname: 'XBTUSD',
    wsname: 'XBT/USD',
    base: 'XXBT',
    quote: 'ZUSD',
    pair_decimals: 1,
    lot_decimals: 8,
    leverage_buy: [],
    fees: [[0, 0.4]],
    fees_maker: [[0, 0.25]],
    ordermin: '0.00005',
    status: 'online',
  },
};
const ASSETS = {
  XXBT: { altname: 'XBT', decimals: 10, display_decimals: 5, status: 'enabled' },
  ZUSD: { altname: 'USD', decimals: 4, display_decimals: 2, status: 'enabled' },
};

/** Frames in the order and with the number texts of Kraken's documentation. */
export async function startKrakenServer() {
  const minute = Math.floor(Date.now() / 60_000) * 60_000 - 120_000;
  const iso = (ms: number) => new Date(ms).toISOString().replace('Z', '000000Z');
  const ohlc = (type: string, open: number, values: string) =>
    `{"channel":"ohlc","type":"${type}","timestamp":"${iso(open)}","data":[{"symbol":"BTC/USD",${values},"interval_begin":"${iso(open)}","interval":1,"timestamp":"${iso(open + 60_000)}"}]}`;
  const trade = (id: number, side: string, price: string, qty: string) =>
    `{"symbol":"BTC/USD","side":"${side}","price":${price},"qty":${qty},"ord_type":"market","trade_id":${id},"timestamp":"${iso(minute)}"}`;
  const book = (type: string, bids: string, asks: string) =>
    `{"channel":"book","type":"${type}","data":[{"symbol":"BTC/USD","bids":[${bids}],"asks":[${asks}],"checksum":1,"timestamp":"${iso(minute)}"}]}`;
  const level = (price: string, qty: string) => `{"price":${price},"qty":${qty}}`;
  const values =
    '"open":63736.1,"high":63740.0,"low":63736.1,"close":63739.9,"trades":3,"volume":0.30000001,"vwap":63738.0';
  const frames: Readonly<Record<string, readonly string[]>> = {
    trade: [
      `{"channel":"trade","type":"snapshot","data":[${trade(1, 'buy', '63736.1', '0.10000000')},${trade(2, 'sell', '63740.0', '1E-7')}]}`,
      `{"channel":"trade","type":"update","data":[${trade(2, 'sell', '63740.0', '1E-7')},${trade(3, 'sell', '63739.9', '0.20000001')}]}`,
    ],
    ohlc: [
      ohlc(
        'snapshot',
        minute,
        '"open":63736.1,"high":63736.1,"low":63736.1,"close":63736.1,"trades":1,"volume":0.1,"vwap":63736.1',
      ),
      ohlc('update', minute, values),
      ohlc(
        'update',
        minute + 60_000,
        '"open":63739.9,"high":63739.9,"low":63739.9,"close":63739.9,"trades":1,"volume":0.1,"vwap":63739.9',
      ),
    ],
    book: [
      book(
        'snapshot',
        `${level('63736.0', '1.50000000')},${level('63735.9', '2')}`,
        `${level('63736.2', '0.00000010')},${level('63736.3', '3')}`,
      ),
      book('update', level('63735.9', '0.00000000'), level('63736.2', '0.00000020')),
    ],
  };

  const { server, host } = await serve((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://kraken');
    const rows = [
      [minute / 1000, '63736.1', '63740.0', '63736.1', '63739.9', '63738.0', '0.30000001', 3],
    ];
    const results: Readonly<Record<string, object>> = {
      '/0/public/AssetPairs': PAIRS,
      '/0/public/Assets': ASSETS,
      '/0/public/OHLC': { XXBTZUSD: rows, last: minute / 1000 },
    };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ error: [], result: results[pathname] ?? {} }));
  });
  const sockets = new WebSocketServer({ server, path: '/v2' });
  sockets.on('connection', (socket: WebSocket) => {
    socket.on('message', (data) => {
      const { method, params, req_id } = JSON.parse((data as Buffer).toString()) as {
        method: string;
        params: { channel: string };
        req_id: number;
      };
      if (method !== 'subscribe') return;
      const { channel } = params;
      socket.send(
        JSON.stringify({ method, result: { channel, symbol: 'BTC/USD' }, success: true, req_id }),
      );
      for (const frame of frames[channel] ?? []) socket.send(frame);
    });
  });
  onTestFinished(() => {
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
  });
  return {
    wsUrl: `ws://${host}`,
    restUrl: `http://${host}`,
    // Sent unquoted: the zeros at their ends are gone before ccxt looks at them.
    trades: [
      ['1', 'buy', '63736.1', '0.1'],
      ['2', 'sell', '63740', '0.0000001'],
      ['3', 'sell', '63739.9', '0.20000001'],
    ],
    candle: {
      open: '63736.1',
      high: '63740',
      low: '63736.1',
      close: '63739.9',
      volume: '0.30000001',
      trades: null,
    },
    book: {
      bids: [{ price: 63736, amount: 1.5 }],
      asks: [
        { price: 63736.2, amount: 2e-7 },
        { price: 63736.3, amount: 3 },
      ],
    },
  };
}
