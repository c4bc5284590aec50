// Sends a thousand messages without waiting for each: the order of the calls is the order in which they leave.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node pipelined.mjs
import { Client, FerrocketError } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
const producer = await client.producer({ producerGroup: 'example-pipelined' });
// ANCHOR: send
const receipts = await Promise.allSettled(
  Array.from({ length: 1000 }, (_, number) => producer.enqueue({ topic: 'TopicTest', body: `queued ${number}` })),
);
for (const { reason } of receipts.filter(({ status }) => status === 'rejected')) {
  // The message comes back, and whether another try helps.
  if (reason instanceof FerrocketError) console.log(`${reason.message}: ${reason.unsent.length} unsent, ${reason.retryable}`);
}
// ANCHOR_END: send
console.log(`${receipts.filter(({ status }) => status === 'fulfilled').length} of 1000 messages are stored`);
await client.close();
