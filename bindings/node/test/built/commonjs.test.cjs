"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
// The same from CommonJS.
const assert = require("node:assert/strict");
const nodeTest = require("node:test");
const ferrocket = require("ferrocket");
const testing = require("ferrocket/testing");
nodeTest.test('a CommonJS program sends', async () => {
    const broker = await testing.Broker.start();
    const client = await ferrocket.Client.connect({ namesrvAddr: broker.namesrvAddr });
    const producer = await client.producer({ producerGroup: 'p' });
    assert.equal((await producer.send({ topic: 'T', body: 'x' })).sendStatus, 'SEND_OK');
    await client.close();
    await broker.close();
});
