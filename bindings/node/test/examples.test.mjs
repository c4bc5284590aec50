// Every example, run as its first lines say, against one broker; consumers find what producers left.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client } from 'ferrocket';
import { Broker } from 'ferrocket/testing';

const FOLDER = fileURLToPath(new URL('../examples/', import.meta.url));
const WAITING = 'waiting for messages, Ctrl-C ends';

/** Files in the order in which they run: how many lines have which text; an endless one is interrupted after that. */
const EXAMPLES = [
  ['first.mjs', { ' is number 0 of queue ': 1 }],
  ['producer.mjs', { 'SEND_OK ': 10 }],
  ['pipelined.mjs', { '1000 of 1000 messages are stored': 1 }],
  ['oneway.mjs', { '100 messages are on their way': 1 }],
  ['send-terms.mjs', { '1 queue for 3 steps': 1, 'archived: SEND_OK in queue ': 1 }],
  ['ordered.mjs', { ' created: queue ': 3, ' paid: ': 3, ' shipped: ': 3 }],
  ['batch.mjs', { 'SEND_OK: 100 messages from offset ': 1 }],
  ['delayed.mjs', { 'SEND_OK: to be delivered later': 3 }],
  ['transaction.mjs', { 'paid: COMMIT_MESSAGE SEND_OK': 1, 'refused: ROLLBACK_MESSAGE': 1 }],
  ['request-reply.mjs', { 'the answer: 14 bytes': 1 }],
  ['push-consumer.mjs', { ': Hello, RocketMQ ': 10, ': batched ': 100 }, WAITING],
  ['batches.mjs', { ': queued ': 1000, ': batched ': 100 }, WAITING],
  ['iterator.mjs', { ': queued ': 1000, ': measured ': 100 }, WAITING],
  ['orderly-consumer.mjs', { 'order-1 created': 1, 'order-1 paid': 1, 'order-1 shipped': 1 }, WAITING],
  ['broadcasting.mjs', { ' bytes': 1210 }, WAITING],
  ['sql92.mjs', { 'a large payment: paid 2000': 1 }],
  ['lite-pull-consumer.mjs', { 'messages are done': 1 }],
  ['admin.mjs', { 'queue 7: 0 to 0': 1, 'nobody consumes': 1 }],
  ['events.mjs', { 'connected to 127.0.0.1:': 1, 'example-events has 4 queues of TopicTest': 1 }],
  ['acl.mjs', { SEND_OK: 1 }],
  ['commonjs.cjs', { SEND_OK: 1 }],
  ['testing.mjs', { 'pass 1': 1 }],
];

test('every example does what it says', { timeout: 600_000 }, async (t) => {
  assert.deepEqual(EXAMPLES.map(([file]) => file).sort(), readdirSync(FOLDER).sort());
  const broker = await Broker.start({ enablePropertyFilter: true });
  const client = await Client.connect({ namesrvAddr: broker.namesrvAddr });
  // The reply of a request is sent to who asked only once the broker knows the asker.
  await client.admin.createTopic({ topic: 'RequestTopic' });
  await client.close();
  const home = mkdtempSync(join(tmpdir(), 'ferrocket-'));
  t.after(async () => {
    await broker.close();
    rmSync(home, { recursive: true });
  });
  assert.ok(home !== homedir());
  const env = { ...process.env, NAMESRV_ADDR: broker.namesrvAddr, HOME: home, ACCESS_KEY: 'example', SECRET_KEY: 'example-secret' };
  delete env.NODE_TEST_CONTEXT;
  for (const [file, prints, waiting] of EXAMPLES) {
    await t.test(file, async () => {
      const args = file === 'testing.mjs' ? ['--test', '--test-reporter=spec', file] : [file];
      const child = spawn(process.execPath, args, { cwd: FOLDER, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 });
      let output = '';
      let told = false;
      const short = () => Object.entries(prints).filter(([text, count]) => output.split('\n').filter((line) => line.includes(text)).length < count);
      child.stderr.on('data', (data) => (output += data));
      child.stdout.on('data', (data) => {
        output += data;
        // Once: the second one would kill.
        if (!told && waiting && output.includes(waiting) && short().length === 0) told = child.kill('SIGINT');
      });
      const [code, signal] = await once(child, 'close');
      assert.deepEqual([code, signal, short()], [0, null, []], output.slice(-2000));
    });
  }
});
