var __addDisposableResource = (this && this.__addDisposableResource) || function (env, value, async) {
    if (value !== null && value !== void 0) {
        if (typeof value !== "object" && typeof value !== "function") throw new TypeError("Object expected.");
        var dispose, inner;
        if (async) {
            if (!Symbol.asyncDispose) throw new TypeError("Symbol.asyncDispose is not defined.");
            dispose = value[Symbol.asyncDispose];
        }
        if (dispose === void 0) {
            if (!Symbol.dispose) throw new TypeError("Symbol.dispose is not defined.");
            dispose = value[Symbol.dispose];
            if (async) inner = dispose;
        }
        if (typeof dispose !== "function") throw new TypeError("Object not disposable.");
        if (inner) dispose = function() { try { inner.call(this); } catch (e) { return Promise.reject(e); } };
        env.stack.push({ value: value, dispose: dispose, async: async });
    }
    else if (async) {
        env.stack.push({ async: true });
    }
    return value;
};
var __disposeResources = (this && this.__disposeResources) || (function (SuppressedError) {
    return function (env) {
        function fail(e) {
            env.error = env.hasError ? new SuppressedError(e, env.error, "An error was suppressed during disposal.") : e;
            env.hasError = true;
        }
        var r, s = 0;
        function next() {
            while (r = env.stack.pop()) {
                try {
                    if (!r.async && s === 1) return s = 0, env.stack.push(r), Promise.resolve().then(next);
                    if (r.dispose) {
                        var result = r.dispose.call(r.value);
                        if (r.async) return s |= 2, Promise.resolve(result).then(next, function(e) { fail(e); return next(); });
                    }
                    else s |= 1;
                }
                catch (e) {
                    fail(e);
                }
            }
            if (s === 1) return env.hasError ? Promise.reject(env.error) : Promise.resolve();
            if (env.hasError) throw env.error;
        }
        return next();
    };
})(typeof SuppressedError === "function" ? SuppressedError : function (error, suppressed, message) {
    var e = new Error(message);
    return e.name = "SuppressedError", e.error = error, e.suppressed = suppressed, e;
});
// The package as a TypeScript program sees it: compiled with --strict, then run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerError, Client, } from 'ferrocket';
import { Broker } from 'ferrocket/testing';
const same = () => { };
same();
same();
same();
same();
same();
same();
same();
same();
const wrong = async (client) => {
    // @ts-expect-error a body is missing
    const message = { topic: 'T' };
    // @ts-expect-error no such setting
    await client.producer({ producerGroup: 'g', noSuchSetting: 1 });
    // @ts-expect-error a number, not a text
    await client.producer({ producerGroup: 'g', sendMsgTimeout: 'soon' });
    // @ts-expect-error no such word
    const result = 'MAYBE';
    // @ts-expect-error a check has to be there
    await client.transactionProducer({ producerGroup: 'g' });
    client.on('rebalanced', (event) => {
        // @ts-expect-error not in this event
        void event.msgId;
    });
    // @ts-expect-error no such event
    client.on('nothing', () => { });
    void [message, result];
};
void wrong;
test('await using, for await and the types hold at run time', async () => {
    const env_1 = { stack: [], error: void 0, hasError: false };
    try {
        const broker = __addDisposableResource(env_1, await Broker.start({ autoCreateTopicEnable: true }), true);
        const client = __addDisposableResource(env_1, await Client.connect({ namesrvAddr: broker.namesrvAddr }), true);
        const producer = __addDisposableResource(env_1, await client.producer({ producerGroup: 'p', sendMsgTimeout: 5_000 }), true);
        const sent = await producer.send({ topic: 'Typed', body: new Uint8Array([1, 2, 3]) });
        assert.equal(sent.sendStatus, 'SEND_OK');
        const consumer = __addDisposableResource(env_1, await client.pushConsumer({
            consumerGroup: 'g',
            subscriptions: { Typed: '*', Measured: { sql: 'size > 5' } },
            consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
        }), true);
        const bodies = [];
        for await (const delivery of consumer) {
            const taken = delivery;
            bodies.push(taken.body);
            taken.ack();
            break;
        }
        assert.deepEqual(bodies, [Buffer.from([1, 2, 3])]);
        try {
            await client.admin.viewMessage('Typed', sent.offsetMsgId.replace(/.{8}$/, 'FFFFFFF0'));
            assert.fail('there is no such message');
        }
        catch (error) {
            if (!(error instanceof BrokerError))
                throw error;
            const code = error.code;
            assert.equal(typeof code, 'number');
        }
    }
    catch (e_1) {
        env_1.error = e_1;
        env_1.hasError = true;
    }
    finally {
        const result_1 = __disposeResources(env_1);
        if (result_1)
            await result_1;
    }
});
