// Sends a hundred messages as one request: stored next to each other in one queue, all or none.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node batch.mjs
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
const producer = await client.producer({ producerGroup: 'example-batch' });
const messages = Array.from({ length: 100 }, (_, number) => ({
  topic: 'TopicTest',
  tags: 'TagB',
  body: `batched ${number}`,
}));
const sent = await producer.sendBatch(messages);
console.log(`${sent.sendStatus}: 100 messages from offset ${sent.queueOffset}`);
await client.close();
