// Consumes only messages whose properties meet a condition; the broker needs enablePropertyFilter=true.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node sql92.mjs
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
const producer = await client.producer({ producerGroup: 'example-sql92' });
for (const amount of [20, 200, 2000]) {
  await producer.send({ topic: 'Payments', body: `paid ${amount}`, properties: { amount: String(amount) } });
}
const consumer = await client.pushConsumer({
  consumerGroup: 'example-sql92',
  subscriptions: { Payments: { sql: 'amount > 1000' } },
  consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
});
for await (const message of consumer) {
  console.log(`a large payment: ${message.body}`);
  message.ack();
  break;
}
await client.close();
