// Consumes every message in every running copy of this program, until Ctrl-C: for caches and settings.
// Offsets are kept in a file on this machine, and failed messages do not come again.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node broadcasting.mjs
import { once } from 'node:events';
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
const consumer = await client.pushConsumer({
  consumerGroup: 'example-broadcasting',
  subscriptions: { TopicTest: '*' },
  messageModel: 'BROADCASTING',
  consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
});
await consumer.run({
  eachMessage: (message) => {
    console.log(`${message.msgId}: ${message.body.length} bytes`);
  },
});
const end = once(process, 'SIGINT');
console.log('waiting for messages, Ctrl-C ends');
await end;
await client.close();
