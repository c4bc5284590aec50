// What client, producer and consumers have in common: a number in the native part, and an end.
import { ClosedError } from './errors.js';
import { port, type Answer, type Args } from './port.js';

/** @internal */
export class Handle {
  #closing: Promise<void> | undefined;

  constructor(
    readonly number: number,
    readonly what: string,
    readonly closed: () => void = () => {},
  ) {}

  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  call(operation: string, args?: unknown, options?: Args): Promise<Answer> {
    if (this.#closing) return Promise.reject(new ClosedError(`${this.what} is closed`));
    return port().call(operation, this.number, args, options);
  }

  async ask<T>(operation: string, args?: unknown, options?: Args): Promise<T> {
    return (await this.call(operation, args, options)).value as T;
  }

  /** An answer, which is due also while the object is being closed. One that comes too late is nobody's. */
  answer(operation: string, args: unknown): Promise<void> {
    return port()
      .call(operation, this.number, args, { due: true })
      .then(() => {})
      .catch((error: unknown) => {
        if (!(error instanceof ClosedError)) throw error;
      });
  }

  /** The first call closes, all wait for it. Further calls are refused from now on. */
  close(before?: () => Promise<unknown>): Promise<void> {
    return (this.#closing ??= this.#close(before));
  }

  async #close(before?: () => Promise<unknown>): Promise<void> {
    await before?.();
    await port().call('close', this.number, null, { due: true });
    this.closed();
  }
}
