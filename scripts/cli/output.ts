import { styleText } from 'node:util';

/**
 * Where a command's words go. Standard output: the human report, or with --json one line of JSON and nothing
 * else. Standard error: progress, warnings and errors.
 */

export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';

export interface Output {
  readonly json: boolean;
  /** Progress may be drawn and redrawn. */
  readonly animated: boolean;
  /** Somebody can be asked. */
  readonly canAsk: boolean;
  /** Width of the terminal, or 80. */
  columns(): number;
  /** A line of the human report. Nothing with --json. */
  line(text?: string): void;
  /** The command's JSON. Nothing without --json. */
  result(value: object): void;
  /** A line of progress where nothing can be animated. */
  progress(text: string): void;
  warn(text: string): void;
  /** Colours the text where standard output shows colours. */
  paint(style: Style, text: string): string;
  /** Erases the terminal, for a view that refreshes itself. Nothing elsewhere. */
  clear(): void;
}

/** A stream that may be a terminal. */
interface Shown extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface Streams {
  readonly stdout: Shown;
  readonly stderr: Shown;
  readonly stdin: { readonly isTTY?: boolean };
}

const CLEAR = '\u001b[H\u001b[2J\u001b[3J';

export function createOutput({ stdout, stderr, stdin }: Streams, json: boolean): Output {
  return {
    json,
    animated: stderr.isTTY === true && !json && process.env['TERM'] !== 'dumb',
    canAsk: stdin.isTTY === true && stderr.isTTY === true && !json,
    columns: () => stderr.columns ?? stdout.columns ?? 80,
    line(text = '') {
      if (!json) stdout.write(`${printable(text)}\n`);
    },
    result(value) {
      if (json) stdout.write(`${JSON.stringify(value)}\n`);
    },
    progress(text) {
      if (!json) stderr.write(`${printable(text)}\n`);
    },
    warn(text) {
      stderr.write(`${styleText('yellow', 'warning', { stream: stderr })}: ${printable(text)}\n`);
    },
    // Knows NO_COLOR, FORCE_COLOR and what the stream can show.
    paint: (style, text) => styleText(style, text, { stream: stdout }),
    clear() {
      if (!json && stdout.isTTY === true) stdout.write(CLEAR);
    },
  };
}

/**
 * One line. Names come from databases: what would begin another line, move the cursor or turn the direction of writing
 * must not reach the terminal, or a tenant's name could say what we never said. Colours stay.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (found, colour: string | undefined) =>
    found === '\t' || (found.startsWith('\u001b') && colour) ? found : `\ufffd${colour ?? ''}`,
  );
}

/** Control characters, separators of lines and paragraphs, and what overrides or isolates a direction (UAX #9). */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069](\[[0-9;]*m)?/gu;
