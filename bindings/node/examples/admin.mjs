// Makes a topic, and looks at it and at who consumes.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node admin.mjs
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
const { admin } = client;
await admin.createTopic({ topic: 'AdminTopic', readQueueNums: 8, writeQueueNums: 8 });
for (const { messageQueue, minOffset, maxOffset } of await admin.topicStats('AdminTopic')) {
  console.log(`queue ${messageQueue.queueId}: ${minOffset} to ${maxOffset}`);
}
await admin.createGroup({ group: 'admin-example', retryMaxTimes: 3 });
const connection = await admin.consumerConnection('admin-example', 'AdminTopic');
console.log(connection ? `${connection.connectionSet.length} consumers` : 'nobody consumes');
await client.close();
