// Consumes the messages of each queue in order, different queues at once, until Ctrl-C.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node orderly-consumer.mjs
import { once } from 'node:events';
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
// ANCHOR: consume
const consumer = await client.pushConsumer({
  consumerGroup: 'example-orderly-consumer',
  subscriptions: { OrderedTopic: '*' },
  consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
  orderly: true,
});
await consumer.run({
  eachMessage: (message) => {
    console.log(`${message.body}`);
    // To have the queue wait and bring the message again: throw, or return { suspendMs: 500 }.
  },
});
// ANCHOR_END: consume
const end = once(process, 'SIGINT');
console.log('waiting for messages, Ctrl-C ends');
await end;
await client.close();
