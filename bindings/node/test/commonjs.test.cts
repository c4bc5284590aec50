// The same from CommonJS.
import assert = require('node:assert/strict');
import nodeTest = require('node:test');
import ferrocket = require('ferrocket');
import testing = require('ferrocket/testing');

nodeTest.test('a CommonJS program sends', async () => {
  const broker: testing.Broker = await testing.Broker.start();
  const client: ferrocket.Client = await ferrocket.Client.connect({ namesrvAddr: broker.namesrvAddr });
  const producer = await client.producer({ producerGroup: 'p' });
  assert.equal((await producer.send({ topic: 'T', body: 'x' })).sendStatus, 'SEND_OK');
  await client.close();
  await broker.close();
});
