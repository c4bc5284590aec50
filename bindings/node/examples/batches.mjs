// Consumes messages in batches, which is fastest, until Ctrl-C.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node batches.mjs
import { once } from 'node:events';
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
const consumer = await client.pushConsumer({
  consumerGroup: 'example-batches',
  subscriptions: { TopicTest: '*' },
  consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
});
await consumer.run({
  batchSize: 128,
  eachBatch: (messages) => {
    for (const message of messages) {
      console.log(`${message.msgId}: ${message.body}`);
      // What is not answered by itself succeeds or fails with the batch.
      if (message.body.length === 0) message.retryLater(3);
    }
  },
});
const end = once(process, 'SIGINT');
console.log('waiting for messages, Ctrl-C ends');
await end;
await client.close();
