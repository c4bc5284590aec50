// A test with a broker of its own, in its own process: node --test testing.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from 'ferrocket';
import { Broker } from 'ferrocket/testing';

test('an order is billed', async () => {
  const broker = await Broker.start();
  const client = await Client.connect({ namesrvAddr: broker.namesrvAddr });
  const producer = await client.producer({ producerGroup: 'orders' });
  await producer.send({ topic: 'Orders', body: 'o-42', delayLevel: 18 });
  const billing = await client.pushConsumer({
    consumerGroup: 'billing',
    subscriptions: { Orders: '*' },
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
  });
  await broker.advance(2 * 60 * 60 * 1000); // Two hours pass at once.
  for await (const order of billing) {
    assert.equal(order.body.toString(), 'o-42');
    order.ack();
    break;
  }
  await client.close();
  await broker.close();
});
