// The kinds of errors.
// Written by client/tests/it/generated.rs from the client's tables.

/**
 * What kind of fault an error is.
 *
 * - `Config`: A setting, a group or a topic name that cannot work. Trying again does not help.
 * - `Closed`: The client, producer or consumer was shut down.
 * - `NoRoute`: No NameServer knows a route for the topic.
 * - `NoBroker`: The route names a broker that has no master address at present.
 * - `Connect`: No connection to the address, or it was lost. A message may have been stored
 * nevertheless.
 * - `Timeout`: No answer in time. A message may have been stored nevertheless.
 * - `FlowControl`: A limit of this client is reached, or the server asked to slow down.
 * - `Broker`: The server answered with an error code.
 * - `InvalidMessage`: The message breaks a rule and was not sent.
 * - `Protocol`: An answer that cannot be read.
 * - `Io`: A local file, or a local port.
 * - `Internal`: A fault of this client itself, such as a panic. It goes on; what was under way may
 * not have happened.
 */
export type ErrorKind =
  | 'Config'
  | 'Closed'
  | 'NoRoute'
  | 'NoBroker'
  | 'Connect'
  | 'Timeout'
  | 'FlowControl'
  | 'Broker'
  | 'InvalidMessage'
  | 'Protocol'
  | 'Io'
  | 'Internal';

/** Whether another try may help; of answers of brokers the code decides. @internal */
export const ERROR_KINDS: Record<ErrorKind, { retryable: boolean }> = {
  Config: { retryable: false },
  Closed: { retryable: false },
  NoRoute: { retryable: true },
  NoBroker: { retryable: true },
  Connect: { retryable: true },
  Timeout: { retryable: true },
  FlowControl: { retryable: true },
  Broker: { retryable: false },
  InvalidMessage: { retryable: false },
  Protocol: { retryable: false },
  Io: { retryable: false },
  Internal: { retryable: false },
};
