/** Commands as text of the protocol, their answers only counted: what a client can do at best. */
import { once } from 'node:events';
import { connect } from 'node:net';

export interface RawRedis {
  /** Resolves when each has its answer. Throws when one is an error. */
  send(commands: readonly (readonly string[])[]): Promise<void>;
  close(): void;
}

const NEWLINE = 10;
const MINUS = 45;

export async function openRaw(url: string): Promise<RawRedis> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.setNoDelay(true);
  let awaited = 0;
  let answered = Promise.withResolvers<void>();

  socket.on('data', (answers: Buffer) => {
    if (answers[0] === MINUS) answered.reject(new Error(answers.toString()));
    for (let at = answers.indexOf(NEWLINE); at !== -1; at = answers.indexOf(NEWLINE, at + 1)) {
      awaited--;
    }
    if (awaited === 0) answered.resolve();
  });

  return {
    async send(commands) {
      answered = Promise.withResolvers();
      awaited = commands.length;
      let text = '';
      for (const words of commands) {
        text += `*${words.length}\r\n`;
        for (const word of words) text += `$${word.length}\r\n${word}\r\n`;
      }
      socket.write(text);
      await answered.promise;
    },
    close: () => void socket.destroy(),
  };
}
