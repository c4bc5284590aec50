// Sends messages without waiting for receipts: fast, and some may get lost.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node oneway.mjs
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
const producer = await client.producer({ producerGroup: 'example-oneway' });
for (let number = 0; number < 100; number++) {
  await producer.sendOneway({ topic: 'TopicTest', body: `measured ${number}` });
}
console.log('100 messages are on their way');
await client.close();
