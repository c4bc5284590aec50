// The native part's log lines, handed to a logger of the program.
import { ConfigError } from './errors.js';
import { port } from './port.js';

/** How much is logged. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';

/** What takes log lines: `console`, and most logging packages. */
export interface Logger {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

interface Line {
  level: LogLevel;
  target: string;
  text: string;
}

/**
 * Hands what the native part logs, at this level (default `info`) or a worse one, to a logger, until another or none
 * is set. One logger takes the lines of the whole process: the last thread that sets one.
 */
export async function setLogger(logger: Logger | undefined, level: LogLevel = 'info'): Promise<void> {
  for (const name of ['error', 'warn', 'info', 'debug'] as const) {
    if (logger && typeof logger[name] !== 'function') throw new ConfigError(`the logger has no function ${name}`);
  }
  const { value: number } = await port().call('setLogLevel', 0, logger ? level : 'off');
  if (logger) void take(logger, number);
}

/** Until another logger is set. */
async function take(logger: Logger, number: number): Promise<void> {
  for (;;) {
    const { value: lines } = await port().call('takeLogs', 0, number, { background: true, due: true });
    if (!lines) return;
    for (const { level, target, text } of lines as Line[]) {
      try {
        logger[level === 'trace' ? 'debug' : level](`${target}: ${text}`);
      } catch {
        // A logger that fails is the program's own matter.
      }
    }
  }
}
