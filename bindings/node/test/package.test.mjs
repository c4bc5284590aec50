// What is installed: both module systems, the loader's words, and log lines.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import * as esm from 'ferrocket';
import * as esmTesting from 'ferrocket/testing';
import { cluster, Collected } from './support.mjs';

const require = createRequire(import.meta.url);

test('import and require give the same classes', () => {
  for (const [modules, path] of [[esm, 'ferrocket'], [esmTesting, 'ferrocket/testing']]) {
    const cjs = require(path);
    const names = Object.keys(modules).filter((name) => !['__esModule', 'module.exports'].includes(name));
    assert.deepEqual(names.sort(), Object.keys(cjs).sort());
    for (const name of names) assert.equal(modules[name], cjs[name]);
  }
  assert.ok('Client' in esm && 'BrokerError' in esm && !('fromNative' in esm));
});

test('a missing platform package is named, with what to do', () => {
  const { FERROCKET_NODE_ADDON, ...env } = process.env;
  const program = `
    const Module = require('node:module');
    const resolve = Module._resolveFilename;
    Module._resolveFilename = (name, ...rest) => resolve.call(Module, name.startsWith('ferrocket-') ? name + '-none' : name, ...rest);
    require('ferrocket').Client.connect({ namesrvAddr: 'a:1' }).catch((error) => console.log(error.message));`;
  const { stdout } = spawnSync(process.execPath, ['-e', program], { env, cwd: import.meta.dirname, encoding: 'utf8' });
  assert.match(stdout, new RegExp(`The package ferrocket-${process.platform}-${process.arch}\\S* .* is not installed.*--omit=optional`));
});

test('the native part logs to a logger of the program, which may throw', async (t) => {
  const lines = new Collected();
  const take = (line) => {
    lines.push(line);
    throw new Error('a bad logger');
  };
  await esm.setLogger({ error: take, warn: take, info: take, debug: take }, 'debug');
  const { client } = await cluster(t);
  const producer = await client.producer({ producerGroup: 'p' });
  await producer.send({ topic: 'T', body: 'x' });
  await lines.until(1);
  await esm.setLogger(undefined);
  assert.match(lines.values[0], /^ferrocket\S*: /);
});

test('of two loggers that are set at once the second takes every line', async (t) => {
  const [first, second] = [new Collected(), new Collected()];
  const into = (lines) => Object.fromEntries(['error', 'warn', 'info', 'debug'].map((name) => [name, (line) => lines.push(line)]));
  await Promise.all([esm.setLogger(into(first), 'debug'), esm.setLogger(into(second), 'debug')]);
  for (let round = 1; round <= 10; round++) {
    const { client } = await cluster(t);
    const producer = await client.producer({ producerGroup: 'p' });
    await producer.send({ topic: 'T', body: 'x' });
    await second.until(round);
  }
  await esm.setLogger(undefined);
  assert.deepEqual(first.values, []);
});
