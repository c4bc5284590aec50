// A client for clusters that speak RocketMQ's remoting protocol. Start at {@link Client.connect}.
export * from './admin.js';
export * from './client.js';
export {
  BrokerError,
  ClosedError,
  ConfigError,
  ConnectError,
  FerrocketError,
  FlowControlError,
  InternalError,
  InvalidMessageError,
  IoError,
  NoBrokerError,
  NoRouteError,
  ProtocolError,
  TimeoutError,
  type ErrorDetails,
} from './errors.js';
export type { ErrorKind } from './error-kinds.js';
export { LitePullConsumer } from './lite.js';
export { setLogger, type Logger, type LogLevel } from './log.js';
export {
  MessageExt,
  type Body,
  type Message,
  type MessageQueue,
  type SendResult,
  type SendStatus,
} from './message.js';
export * from './producer.js';
export * from './push.js';
export type * from './settings.js';
