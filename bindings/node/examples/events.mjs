// Watches what happens in a client, and takes its log lines.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node events.mjs
import { Client, setLogger } from 'ferrocket';

await setLogger(console, 'warn');
const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
// Listeners alone do not keep the process alive, waiting for the next event does.
client.on('disconnected', ({ addr }) => console.log(`no longer connected to ${addr}`));
const events = client.events();
const consumer = client.pushConsumer({ consumerGroup: 'example-events', subscriptions: { TopicTest: '*' } });
for await (const event of events) {
  if (event.type === 'connected') console.log(`connected to ${event.addr}`);
  if (event.type !== 'rebalanced') continue;
  console.log(`${event.group} has ${event.queues.length} queues of ${event.topic}`);
  if (event.topic === 'TopicTest') break;
}
await (await consumer).close();
await client.close();
