// Consumes messages as they arrive, many at once, until Ctrl-C.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node push-consumer.mjs
import { once } from 'node:events';
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
// ANCHOR: consume
const consumer = await client.pushConsumer({
  consumerGroup: 'example-push-consumer',
  subscriptions: { TopicTest: 'TagA || TagB' },
  consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
});
// A handler that throws gets the message again, after a delay that grows with each attempt.
consumer.on('handlerError', (error, messages) => console.error(`${messages[0].msgId}: ${error}`));
await consumer.run({
  concurrency: 64,
  eachMessage: async (message) => {
    console.log(`${message.msgId}: ${message.body}`);
  },
});
// ANCHOR_END: consume
const end = once(process, 'SIGINT');
console.log('waiting for messages, Ctrl-C ends');
await end;
await client.close();
