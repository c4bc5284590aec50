// Sends the steps of three orders so that each order's steps stay in order: one key, one queue.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node ordered.mjs
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
const producer = await client.producer({ producerGroup: 'example-ordered' });
// ANCHOR: send
for (const step of ['created', 'paid', 'shipped']) {
  for (const order of ['order-1', 'order-2', 'order-3']) {
    const sent = await producer.sendOrdered({ topic: 'OrderedTopic', body: `${order} ${step}` }, order);
    console.log(`${order} ${step}: queue ${sent.messageQueue.queueId}`);
  }
}
// ANCHOR_END: send
await client.close();
