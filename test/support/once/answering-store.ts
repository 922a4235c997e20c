// A server that speaks Redis' protocol and answers each script as the test says: a real one never answers nonsense.
import { createServer } from 'node:net';
import { listening } from '../machine/listening.ts';

/** `answer`: the bytes sent for a script and its arguments, such as `+OK\r\n`. All other commands get `+OK`. */
export async function startAnsweringStore(answer: (script: string, args: readonly string[]) => string) {
  const server = createServer((socket) => {
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (piece) => {
      text += piece.toString('latin1');
      for (let command = readCommand(text); command !== null; command = readCommand(text)) {
        text = text.slice(command.length);
        const [name = '', script = '', ...args] = command.words;
        socket.write(name.toUpperCase() === 'EVAL' ? answer(script, args) : '+OK\r\n');
      }
    });
  });
  const { port, close } = await listening(server);
  return { url: `redis://127.0.0.1:${port}`, close };
}

/** The first whole command, an array of bulk strings; null if there is none yet. */
function readCommand(text: string): { readonly words: readonly string[]; readonly length: number } | null {
  const words: string[] = [];
  const [start = '', count = '0'] = /^\*(\d+)\r\n/.exec(text) ?? [];
  if (start === '') return null;
  let at = start.length;
  while (words.length < Number(count)) {
    const [head = '', size = '0'] = /^\$(\d+)\r\n/.exec(text.slice(at)) ?? [];
    const end = at + head.length + Number(size);
    if (head === '' || text.length < end + 2) return null;
    words.push(text.slice(at + head.length, end));
    at = end + 2;
  }
  return { words, length: at };
}
