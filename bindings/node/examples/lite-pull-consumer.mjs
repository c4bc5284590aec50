// Asks for messages, and says itself how far it is.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node lite-pull-consumer.mjs
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
// ANCHOR: consume
const consumer = await client.litePullConsumer({
  consumerGroup: 'example-lite-pull',
  subscriptions: { TopicTest: '*' },
  consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
  autoCommit: false,
});
let count = 0;
while (count < 100) {
  const messages = await consumer.poll({ timeout: 5_000 });
  count += messages.length;
  await consumer.commit();
}
// ANCHOR_END: consume
console.log(`${count} messages are done`);
await client.close();
