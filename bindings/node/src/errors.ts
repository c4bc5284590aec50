// Errors as the native part tells them, and as this layer makes them.
import { ERROR_KINDS, type ErrorKind } from './error-kinds.js';
import type { Message } from './message.js';

/** What is known of an error besides its kind and text. */
export interface ErrorDetails {
  retryable?: boolean;
  code?: number;
  remark?: string;
  addr?: string;
  cause?: string;
}

/** An error on its way through the port. @internal */
export interface NativeError extends ErrorDetails {
  kind: ErrorKind;
  message: string;
}

/** Any error of this package. Which one it is says `kind`, or the class. */
export class FerrocketError extends Error {
  /** What kind of fault it is. */
  readonly kind: ErrorKind;
  /** Whether the same call may succeed later without any change. */
  readonly retryable: boolean;
  /** The server's response code, if a server answered. */
  readonly code: number | undefined;
  /** The server's remark, word for word. */
  readonly remark: string | undefined;
  /** The address that was talked to. */
  readonly addr: string | undefined;
  /**
   * The messages of a failed send. After a `Timeout` or `Connect` a broker may have stored them all the same.
   */
  unsent: readonly Message[] = [];

  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: new Error(details.cause) });
    this.kind = kind;
    this.retryable = details.retryable ?? ERROR_KINDS[kind].retryable;
    this.code = details.code;
    this.remark = details.remark;
    this.addr = details.addr;
  }
}

/** A setting, a name or an argument that cannot work. */
export class ConfigError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('Config', message, details);
  }
}
/** The client, producer or consumer is closed. */
export class ClosedError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('Closed', message, details);
  }
}
/** No NameServer knows a route for the topic. */
export class NoRouteError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('NoRoute', message, details);
  }
}
/** The route names a broker that has no master at present. */
export class NoBrokerError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('NoBroker', message, details);
  }
}
/** No connection, or it was lost. */
export class ConnectError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('Connect', message, details);
  }
}
/** No answer in time. */
export class TimeoutError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('Timeout', message, details);
  }
}
/** A limit of this client is reached, or the server asked to slow down. */
export class FlowControlError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('FlowControl', message, details);
  }
}
/** The server answered with an error code. */
export class BrokerError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('Broker', message, details);
  }
}
/** The message breaks a rule and was not sent. */
export class InvalidMessageError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('InvalidMessage', message, details);
  }
}
/** An answer that cannot be read. */
export class ProtocolError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('Protocol', message, details);
  }
}
/** A local file or port. */
export class IoError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('Io', message, details);
  }
}
/** A fault of this package: please report it. */
export class InternalError extends FerrocketError {
  constructor(message: string, details?: ErrorDetails) {
    super('Internal', message, details);
  }
}

const CLASSES: Record<ErrorKind, new (message: string, details?: ErrorDetails) => FerrocketError> = {
  Config: ConfigError,
  Closed: ClosedError,
  NoRoute: NoRouteError,
  NoBroker: NoBrokerError,
  Connect: ConnectError,
  Timeout: TimeoutError,
  FlowControl: FlowControlError,
  Broker: BrokerError,
  InvalidMessage: InvalidMessageError,
  Protocol: ProtocolError,
  Io: IoError,
  Internal: InternalError,
};

FerrocketError.prototype.name = 'FerrocketError';
for (const [kind, Class] of Object.entries(CLASSES)) Class.prototype.name = `${kind}Error`;

/** @internal */
export function fromNative(error: NativeError): FerrocketError {
  const Class = CLASSES[error.kind] ?? InternalError;
  return new Class(error.message, error);
}

/** What something that was thrown says. @internal */
export function said(thrown: unknown): string {
  try {
    // Half of a surrogate pair could not go to a broker.
    return (String(thrown) as string & { toWellFormed(): string }).toWellFormed();
  } catch {
    return 'something without a text was thrown';
  }
}
