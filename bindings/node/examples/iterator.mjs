// Takes messages from a push consumer at its own pace and answers for each, until Ctrl-C.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node iterator.mjs
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
process.once('SIGINT', () => client.close());
// ANCHOR: consume
const consumer = await client.pushConsumer({
  consumerGroup: 'example-iterator',
  subscriptions: { TopicTest: '*' },
  consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
});
console.log('waiting for messages, Ctrl-C ends');
for await (const message of consumer) {
  console.log(`${message.msgId}: ${message.body}`);
  if (message.reconsumeTimes < 3 && message.body.length === 0) message.retryLater();
  else message.ack();
}
// ANCHOR_END: consume
