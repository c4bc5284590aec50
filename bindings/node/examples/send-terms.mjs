// Sends in line to the queue of a key, to a queue, and with times of their own.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node send-terms.mjs
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
const producer = await client.producer({ producerGroup: 'example-terms' });
const topic = 'TermsTopic';
// ANCHOR: send
const steps = ['created', 'paid', 'shipped'];
const receipts = await Promise.all(
  steps.map((body) => producer.enqueue({ topic, body }, { orderedBy: 'order-7' })),
);
const queue = receipts[0].messageQueue;
const sent = await producer.send({ topic, body: 'archived' }, { queue, timeout: 10_000 });
// ANCHOR_END: send
console.log(`${new Set(receipts.map((receipt) => receipt.messageQueue.queueId)).size} queue for ${receipts.length} steps`);
console.log(`archived: ${sent.sendStatus} in queue ${sent.messageQueue.queueId}`);
await client.close();
