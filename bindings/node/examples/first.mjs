import { Client } from 'ferrocket';

// The NameServers that the environment's NAMESRV_ADDR names; or { namesrvAddr: 'host:port;host:port' }.
const client = await Client.connect();
const producer = await client.producer({ producerGroup: 'order-service' });
const sent = await producer.send({ topic: 'Orders', body: 'paid', tags: 'vip', keys: ['o-42'] });
console.log(`${sent.msgId} is number ${sent.queueOffset} of queue ${sent.messageQueue.queueId}`);
await client.close();
