/* Every kind of message and consumer, against the servers in this process. */
#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "harness.h"

/* How often a broker goes away with each kind of connection, and how many threads send to it meanwhile. */
#define GOING 5
#define SENDING 2

static fr_message_t *message(const char *topic, const char *body) {
    fr_message_t *made;
    OK(fr_message_new(topic, body, strlen(body), &made, &error));
    return made;
}

static fr_producer_t *producer_of(const char *group) {
    fr_producer_t *producer;
    fr_config_t *config = fr_config_new();
    OK(fr_config_set(config, "defaultTopicQueueNums", "1", &error));
    OK(fr_config_set(config, "sendMsgTimeout", "30000", &error));
    OK(fr_producer_start(client, group, config, &producer, &error));
    fr_config_free(config);
    return producer;
}

/* Sends a text, with a tag unless that is NULL. */
static void send_text(fr_producer_t *producer, const char *topic, const char *body, const char *tag) {
    fr_message_t *m = message(topic, body);
    fr_send_result_t *sent;
    if (tag != NULL) {
        OK(fr_message_set_tags(m, tag, &error));
    }
    OK(fr_producer_send(producer, m, &sent, &error));
    CHECK(fr_send_result_status(sent) == FR_SEND_OK);
    fr_send_result_free(sent);
    fr_message_free(m);
}

/* A configuration of consumers that see everything of a topic. */
static fr_config_t *consuming(const char *topic, const char *expression, int32_t kind) {
    fr_config_t *config = fr_config_new();
    OK(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", &error));
    OK(fr_config_subscribe(config, topic, expression, kind, &error));
    return config;
}

static fr_push_consumer_t *push(fr_client_t *of, const char *group, const char *topic, int32_t order) {
    fr_push_consumer_t *consumer;
    fr_config_t *config = consuming(topic, "*", FR_TAG);
    OK(fr_push_consumer_start(of, group, config, order, &consumer, &error));
    fr_config_free(config);
    return consumer;
}

/* The only message of a delivery. */
static const fr_message_ext_t *first(const fr_delivery_t *delivery) {
    CHECK(fr_messages_count(fr_delivery_messages(delivery)) == 1);
    return fr_messages_at(fr_delivery_messages(delivery), 0);
}

static int has_body(const fr_message_ext_t *m, const char *text) {
    size_t len = 0;
    const void *body = fr_message_ext_body(m, &len);
    return len == strlen(text) && memcmp(body, text, len) == 0;
}

/* The next delivery, for which the broker's clock is turned on. */
static fr_delivery_t *next(fr_push_consumer_t *consumer) {
    fr_delivery_t *delivery;
    size_t count = 0;
    int tries;
    for (tries = 0; tries < 600; tries++) {
        OK(fr_push_consumer_poll(consumer, &delivery, 1, 100, &count, &error));
        if (count == 1) {
            return delivery;
        }
        OK(fr_testing_broker_advance(broker, 60000, &error));
    }
    fprintf(stderr, "no delivery came\n");
    exit(1);
}

/* A receipt says where the message is, and a batch is one receipt. */
static void sends_are_receipted(void) {
    fr_producer_t *producer = producer_of("p-receipts");
    fr_message_t *m = message("Receipts", "one");
    const fr_message_t *batch[2];
    fr_send_result_t *sent, *again;
    fr_queue_t *queue;
    CHECK(fr_producer_send(producer, m, &sent, NULL) == FR_OK);
    SAME(fr_queue_topic(fr_send_result_queue(sent)), "Receipts");
    CHECK(strlen(fr_send_result_msg_id(sent)) == 32);
    CHECK(strlen(fr_send_result_offset_msg_id(sent)) == 32);
    CHECK(fr_send_result_queue_offset(sent) == 0);
    OK(fr_producer_send_to(producer, m, fr_send_result_queue(sent), &again, &error));
    CHECK(fr_send_result_queue_offset(again) == 1);
    fr_send_result_free(again);
    OK(fr_queue_new("Other", "broker-a", 0, &queue, &error));
    FAILS(FR_ERROR_INVALID_MESSAGE, fr_producer_send_to(producer, m, queue, &again, &error));
    CHECK(again == NULL);
    fr_queue_free(queue);
    OK(fr_producer_send_ordered(producer, m, "customer-7", &again, &error));
    fr_send_result_free(again);
    batch[0] = batch[1] = m;
    OK(fr_producer_send_batch(producer, batch, 2, &again, &error));
    CHECK(fr_send_result_queue_offset(again) == 3);
    CHECK(strchr(fr_send_result_msg_id(again), ',') != NULL);
    fr_send_result_free(again);
    OK(fr_producer_send_oneway(producer, m, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_recall(producer, "Receipts", "no handle", &error));
    fr_send_result_free(sent);
    fr_message_free(m);
    OK(fr_producer_close(producer, &error));
    fr_producer_free(producer);
}

static int called, refused;

static void count_sent(const fr_send_result_t *result, const fr_error_t *failure, void *user) {
    CHECK((result == NULL) != (failure == NULL));
    CHECK(user == &called || user == &refused);
    (*(int *)user)++;
    if (result != NULL) {
        CHECK(fr_send_result_queue_offset(result) >= 0);
    } else {
        CHECK(fr_error_status(failure) == FR_ERROR_INVALID_MESSAGE);
    }
}

/* Asynchronous sends keep their order; each is told of once, to a callback or to who polls. */
static void sends_that_do_not_wait(void) {
    fr_producer_t *producer = producer_of("p-async");
    fr_completion_t *done[16];
    char body[16];
    int64_t offsets[100];
    size_t count, at, taken = 0;
    int number;
    struct pollfd fd;
    fr_message_t *m = message("Async", "");
    OK(fr_producer_send_async(producer, m, count_sent, &refused, &error));
    fr_message_free(m);
    for (number = 0; number < 100; number++) {
        sprintf(body, "%d", number);
        m = message("Async", body);
        OK(fr_producer_send_async(producer, m, NULL, &offsets[number], &error));
        OK(fr_producer_send_async(producer, m, count_sent, &called, &error));
        fr_message_free(m);
    }
    fd.fd = fr_producer_fd(producer);
    fd.events = POLLIN;
    while (taken < 100) {
        CHECK(poll(&fd, 1, LONG) == 1);
        OK(fr_producer_poll(producer, done, 16, 0, &count, &error));
        for (at = 0; at < count; at++) {
            CHECK(fr_completion_error(done[at]) == NULL);
            *(int64_t *)fr_completion_user(done[at]) = fr_send_result_queue_offset(fr_completion_result(done[at]));
            fr_completion_free(done[at]);
        }
        taken += count;
    }
    for (number = 1; number < 100; number++) {
        CHECK(offsets[number - 1] < offsets[number]);
    }
    /* What waits in line when the producer ends is sent, too. */
    m = message("Async", "last");
    for (number = 0; number < 100; number++) {
        OK(fr_producer_send_async(producer, m, count_sent, &called, &error));
    }
    fr_message_free(m);
    OK(fr_producer_close(producer, &error));
    CHECK(called == 200 && refused == 1);
    FAILS(FR_ERROR_CLOSED, fr_producer_poll(producer, done, 16, 0, &count, &error));
    m = message("Async", "late");
    FAILS(FR_ERROR_CLOSED, fr_producer_send_async(producer, m, NULL, NULL, &error));
    FAILS(FR_ERROR_CLOSED, fr_producer_send_async(producer, m, count_sent, &called, &error));
    fr_message_free(m);
    fr_producer_free(producer);
}

/* Each kind of send goes where its terms say; a key takes the place of a queue. */
static void sends_have_terms(void) {
    fr_config_t *config = fr_config_new();
    fr_producer_t *producer;
    fr_message_t *m = message("Terms", "x");
    const fr_message_t *batch[2];
    fr_send_terms_t *terms = fr_send_terms_new();
    fr_send_result_t *first, *sent, *ordered;
    fr_completion_t *done[4];
    fr_queue_t *queue;
    size_t count, at, taken = 0;
    OK(fr_config_set(config, "defaultTopicQueueNums", "4", &error));
    OK(fr_config_set(config, "sendMsgTimeout", "30000", &error));
    OK(fr_producer_start(client, "p-terms", config, &producer, &error));
    OK(fr_producer_send_with(producer, m, terms, &first, &error));
    OK(fr_queue_new("Terms", fr_queue_broker_name(fr_send_result_queue(first)), 3, &queue, &error));
    fr_send_result_free(first);
    OK(fr_send_terms_set_queue(terms, queue, &error));
    OK(fr_send_terms_set_timeout(terms, LONG, &error));
    OK(fr_producer_send_with(producer, m, terms, &first, &error));
    CHECK(fr_queue_id(fr_send_result_queue(first)) == 3);
    OK(fr_producer_send_oneway_with(producer, m, terms, &error));
    for (at = 0; at < 4; at++) {
        OK(fr_producer_send_async_with(producer, m, terms, NULL, NULL, &error));
    }
    while (taken < 4) {
        OK(fr_producer_poll(producer, done, 4, LONG, &count, &error));
        for (at = 0; at < count; at++) {
            const fr_send_result_t *receipt = fr_completion_result(done[at]);
            CHECK(fr_queue_id(fr_send_result_queue(receipt)) == 3);
            fr_completion_free(done[at]);
        }
        taken += count;
    }
    batch[0] = batch[1] = m;
    OK(fr_producer_send_batch_async_with(producer, batch, 2, terms, NULL, &taken, &error));
    do {
        OK(fr_producer_poll(producer, done, 1, LONG, &count, &error));
    } while (count == 0);
    CHECK(fr_completion_user(done[0]) == &taken);
    CHECK(strchr(fr_send_result_msg_id(fr_completion_result(done[0])), ',') != NULL);
    fr_completion_free(done[0]);
    OK(fr_producer_send_batch_with(producer, batch, 2, terms, &sent, &error));
    CHECK(fr_queue_id(fr_send_result_queue(sent)) == 3);
    CHECK(fr_send_result_queue_offset(sent) == fr_send_result_queue_offset(first) + 8);
    fr_send_result_free(first);
    fr_send_result_free(sent);
    OK(fr_producer_send_ordered(producer, m, "order-7", &ordered, &error));
    OK(fr_send_terms_set_ordered_by(terms, "order-7", &error));
    OK(fr_producer_send_with(producer, m, terms, &sent, &error));
    CHECK(fr_queue_id(fr_send_result_queue(sent)) == fr_queue_id(fr_send_result_queue(ordered)));
    fr_send_result_free(ordered);
    fr_send_result_free(sent);
    OK(fr_send_terms_set_timeout(terms, 0, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send_with(producer, m, terms, &sent, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send_oneway_with(producer, m, terms, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send_batch_with(producer, batch, 2, terms, &sent, &error));
    fr_queue_free(queue);
    fr_send_terms_free(terms);
    fr_message_free(m);
    fr_producer_free(producer);
    fr_config_free(config);
}

/* Deliveries are taken when the descriptor says so; what is not acknowledged comes again. */
static void deliveries_are_taken(void) {
    fr_producer_t *producer = producer_of("p-poll");
    fr_push_consumer_t *consumer;
    fr_delivery_t *batch[8], *delivery;
    fr_message_t *m = message("Polled", "b");
    fr_send_result_t *sent;
    fr_queues_t *queues;
    struct pollfd fd;
    size_t count, at, acked = 0, seen = 0;
    OK(fr_message_set_property(m, "region", "north", &error));
    OK(fr_message_add_key(m, "k1", &error));
    OK(fr_message_add_key(m, "k2", &error));
    OK(fr_message_set_flag(m, 7, &error));
    OK(fr_producer_send(producer, m, &sent, &error));
    send_text(producer, "Polled", "a", NULL);
    send_text(producer, "Polled", "c", NULL);
    consumer = push(client, "g-poll", "Polled", FR_CONCURRENTLY);
    fd.fd = fr_push_consumer_fd(consumer);
    fd.events = POLLIN;
    while (seen < 3) {
        CHECK(poll(&fd, 1, LONG) == 1);
        OK(fr_push_consumer_poll(consumer, batch, 8, 0, &count, &error));
        seen += count;
        for (at = 0, acked = 0; at < count; at++) {
            const fr_message_ext_t *got = first(batch[at]);
            if (has_body(got, "b")) {
                SAME(fr_message_ext_topic(got), "Polled");
                SAME(fr_message_ext_msg_id(got), fr_send_result_msg_id(sent));
                SAME(fr_message_ext_offset_msg_id(got), fr_send_result_offset_msg_id(sent));
                SAME(fr_message_ext_keys(got), "k1 k2");
                SAME(fr_message_ext_property(got, "region"), "north");
                SAME(fr_message_ext_broker_name(got), fr_queue_broker_name(fr_send_result_queue(sent)));
                CHECK(fr_message_ext_property(got, "none") == NULL && fr_message_ext_tags(got) == NULL);
                CHECK(fr_message_ext_property_name(got, 0) != NULL && fr_message_ext_property_name(got, 99) == NULL);
                CHECK(fr_message_ext_queue_id(got) == 0 && fr_message_ext_queue_offset(got) == 0);
                CHECK(fr_message_ext_flag(got) == 7 && fr_message_ext_reconsume_times(got) == 0);
                CHECK(fr_message_ext_born_timestamp(got) > 0 && fr_message_ext_store_timestamp(got) > 0);
                CHECK(fr_message_ext_delay_level(got) == 0 && fr_message_ext_transaction_id(got) == NULL);
                OK(fr_delivery_answer(batch[at], FR_LATER, 1, &error));
            } else {
                batch[acked++] = batch[at];
            }
        }
        OK(fr_deliveries_ack(batch, acked, &error));
    }
    delivery = next(consumer);
    CHECK(has_body(first(delivery), "b") && fr_message_ext_reconsume_times(first(delivery)) == 1);
    fr_delivery_free(delivery);
    delivery = next(consumer);
    CHECK(has_body(first(delivery), "b") && fr_message_ext_reconsume_times(first(delivery)) == 2);
    OK(fr_delivery_answer(delivery, FR_SUCCESS, 0, &error));
    OK(fr_push_consumer_queues(consumer, &queues, &error));
    CHECK(fr_queues_count(queues) >= 1 && fr_queues_at(queues, 99) == NULL);
    SAME(fr_queue_topic(fr_queues_at(queues, 0)), "%RETRY%g-poll");
    fr_queues_free(queues);
    OK(fr_push_consumer_suspend(consumer, &error));
    OK(fr_push_consumer_resume(consumer, &error));
    OK(fr_push_consumer_subscribe(consumer, "PolledToo", "*", FR_TAG, &error));
    OK(fr_push_consumer_unsubscribe(consumer, "PolledToo", &error));
    OK(fr_push_consumer_close(consumer, &error));
    FAILS(FR_ERROR_CLOSED, fr_push_consumer_poll(consumer, batch, 8, LONG, &count, &error));
    fr_push_consumer_free(consumer);
    fr_send_result_free(sent);
    fr_message_free(m);
    fr_producer_free(producer);
}

/* What handlers got, in their order. */
struct log {
    pthread_mutex_t lock;
    pthread_cond_t more;
    pthread_t stack;
    int failures;
    size_t count;
    char bodies[64][8];
};

static void log_begin(struct log *log, int fail) {
    memset(log, 0, sizeof *log);
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->more, NULL);
    log->stack = pthread_self();
    log->failures = fail;
}

static void log_wait(struct log *log, size_t count) {
    pthread_mutex_lock(&log->lock);
    while (log->count < count) {
        pthread_cond_wait(&log->more, &log->lock);
    }
    pthread_mutex_unlock(&log->lock);
}

static int32_t keep(const fr_delivery_t *delivery, void *user) {
    struct log *log = user;
    const fr_messages_t *messages = fr_delivery_messages(delivery);
    int32_t answer = FR_SUCCESS;
    size_t at, len;
    pthread_mutex_lock(&log->lock);
    CHECK(!pthread_equal(pthread_self(), log->stack));
    for (at = 0; at < fr_messages_count(messages); at++) {
        const void *body = fr_message_ext_body(fr_messages_at(messages, at), &len);
        CHECK(len < 8 && log->count < 64);
        memcpy(log->bodies[log->count++], body, len);
    }
    if (log->failures > 0) {
        log->failures--;
        answer = FR_LATER;
    }
    pthread_cond_broadcast(&log->more);
    pthread_mutex_unlock(&log->lock);
    return answer;
}

/* Handlers run on threads of the library; orderly ones get a queue's messages in order, failed ones again first. */
static void handlers_are_called(void) {
    fr_producer_t *producer = producer_of("p-handler");
    fr_push_consumer_t *consumer, *orderly;
    fr_config_t *config = consuming("Handled", "*", FR_TAG);
    struct log log, ordered;
    const char *expected[] = {"0", "0", "0", "1", "2", "3"};
    char body[8];
    int number;
    for (number = 0; number < 4; number++) {
        sprintf(body, "%d", number);
        send_text(producer, "Handled", body, NULL);
    }
    log_begin(&log, 0);
    consumer = push(client, "g-handler", "Handled", FR_CONCURRENTLY);
    OK(fr_push_consumer_handle(consumer, 3, keep, &log, &error));
    log_wait(&log, 4);
    fr_push_consumer_free(consumer);
    CHECK(log.count == 4);

    OK(fr_config_set(config, "suspendCurrentQueueTimeMillis", "10", &error));
    log_begin(&ordered, 2);
    OK(fr_push_consumer_start(client, "g-orderly", config, FR_ORDERLY, &orderly, &error));
    OK(fr_push_consumer_handle(orderly, 2, keep, &ordered, &error));
    log_wait(&ordered, 6);
    OK(fr_push_consumer_close(orderly, &error));
    for (number = 0; number < 6; number++) {
        SAME(ordered.bodies[number], expected[number]);
    }
    fr_push_consumer_free(orderly);
    fr_config_free(config);
    fr_producer_free(producer);
}

/* An orderly batch is as long as the setting says, and its queue waits for the answer. */
static void orderly_batches_are_taken(void) {
    fr_producer_t *producer = producer_of("p-batches");
    fr_config_t *config = consuming("Batches", "*", FR_TAG);
    fr_push_consumer_t *consumer;
    fr_delivery_t *delivery;
    size_t count, seen = 0;
    char body[8];
    int number;
    for (number = 0; number < 6; number++) {
        sprintf(body, "%d", number);
        send_text(producer, "Batches", body, NULL);
    }
    OK(fr_config_set(config, "consumeMessageBatchMaxSize", "4", &error));
    OK(fr_config_set(config, "autoCommit", "false", &error));
    OK(fr_push_consumer_start(client, "g-batches", config, FR_ORDERLY, &consumer, &error));
    delivery = next(consumer);
    CHECK(has_body(fr_messages_at(fr_delivery_messages(delivery), 0), "0"));
    OK(fr_delivery_answer(delivery, FR_LATER, 10, &error));
    delivery = next(consumer);
    OK(fr_delivery_answer(delivery, FR_ROLLBACK, 0, &error));
    while (seen < 6) {
        delivery = next(consumer);
        count = fr_messages_count(fr_delivery_messages(delivery));
        CHECK(count >= 1 && count <= 4);
        sprintf(body, "%d", (int)seen);
        CHECK(has_body(fr_messages_at(fr_delivery_messages(delivery), 0), body));
        seen += count;
        OK(fr_delivery_answer(delivery, seen < 6 ? FR_SUCCESS : FR_COMMIT, 0, &error));
    }
    fr_push_consumer_free(consumer);
    fr_config_free(config);
    fr_producer_free(producer);
}

/* Tags and SQL92 conditions choose at the broker. */
static void expressions_choose(void) {
    fr_producer_t *producer = producer_of("p-choose");
    fr_message_t *m = message("Chosen", "heavy");
    fr_config_t *tags = consuming("Chosen", "vip || gold", FR_TAG), *sql = consuming("Chosen", "weight > 5", FR_SQL92);
    fr_push_consumer_t *consumer;
    fr_delivery_t *delivery;
    fr_send_result_t *sent;
    send_text(producer, "Chosen", "plain", "plain");
    send_text(producer, "Chosen", "gold", "gold");
    OK(fr_message_set_property(m, "weight", "6", &error));
    OK(fr_producer_send(producer, m, &sent, &error));
    OK(fr_push_consumer_start(client, "g-tags", tags, FR_CONCURRENTLY, &consumer, &error));
    delivery = next(consumer);
    CHECK(has_body(first(delivery), "gold"));
    SAME(fr_message_ext_tags(first(delivery)), "gold");
    OK(fr_delivery_answer(delivery, FR_SUCCESS, 0, &error));
    fr_push_consumer_free(consumer);
    OK(fr_push_consumer_start(client, "g-sql", sql, FR_CONCURRENTLY, &consumer, &error));
    delivery = next(consumer);
    CHECK(has_body(first(delivery), "heavy"));
    OK(fr_delivery_answer(delivery, FR_SUCCESS, 0, &error));
    fr_push_consumer_free(consumer);
    fr_send_result_free(sent);
    fr_config_free(tags);
    fr_config_free(sql);
    fr_message_free(m);
    fr_producer_free(producer);
}

/* Every broadcasting consumer of a group gets every message. */
static void broadcasting_reaches_all(void) {
    fr_producer_t *producer = producer_of("p-broadcast");
    fr_client_t *clients[2];
    fr_push_consumer_t *consumers[2];
    fr_config_t *config = consuming("Everybody", "*", FR_TAG);
    fr_delivery_t *delivery;
    /* Programs of one machine share their offsets unless they are told to keep them apart. */
    char folders[2][32] = {"/tmp/ferrocket-c-XXXXXX", "/tmp/ferrocket-c-XXXXXX"}, command[64];
    int at;
    OK(fr_config_set(config, "messageModel", "BROADCASTING", &error));
    send_text(producer, "Everybody", "all", NULL);
    for (at = 0; at < 2; at++) {
        CHECK(mkdtemp(folders[at]) != NULL);
        OK(fr_config_set(config, "rocketmq.client.localOffsetStoreDir", folders[at], &error));
        clients[at] = another_client();
        OK(fr_push_consumer_start(clients[at], "g-broadcast", config, FR_CONCURRENTLY, &consumers[at], &error));
    }
    for (at = 0; at < 2; at++) {
        delivery = next(consumers[at]);
        CHECK(has_body(first(delivery), "all"));
        OK(fr_delivery_answer(delivery, FR_SUCCESS, 0, &error));
        fr_push_consumer_free(consumers[at]);
        fr_client_free(clients[at]);
        sprintf(command, "rm -rf %s", folders[at]);
        CHECK(system(command) == 0);
    }
    fr_config_free(config);
    fr_producer_free(producer);
}

/* A delayed message comes when the broker's clock says so. */
static void delayed_messages_come_later(void) {
    fr_producer_t *producer = producer_of("p-delay");
    fr_push_consumer_t *consumer = push(client, "g-delay", "Delayed", FR_CONCURRENTLY);
    fr_message_t *m = message("Delayed", "later");
    fr_delivery_t *delivery;
    fr_send_result_t *sent;
    OK(fr_message_set_delay_level(m, 18, &error));
    OK(fr_message_set_wait_store(m, false, &error));
    OK(fr_producer_send(producer, m, &sent, &error));
    OK(fr_testing_broker_advance(broker, 7200 * 1000, &error));
    delivery = next(consumer);
    CHECK(has_body(first(delivery), "later"));
    CHECK(fr_message_ext_delay_level(first(delivery)) == 18);
    OK(fr_delivery_answer(delivery, FR_SUCCESS, 0, &error));
    OK(fr_message_deliver_after(m, 1500, &error));
    OK(fr_message_deliver_at(m, 1, &error));
    FAILS(FR_ERROR_CONFIG, fr_message_deliver_at(m, -1, &error));
    fr_send_result_free(sent);
    fr_message_free(m);
    fr_push_consumer_free(consumer);
    fr_producer_free(producer);
}

/* What became of the transactions: brokers may ask before they have heard of an end. */
static int32_t settle(const fr_delivery_t *check, void *user) {
    if (has_body(first(check), "b")) {
        keep(check, user);
    }
    return has_body(first(check), "rolled back") ? FR_ROLLBACK : FR_COMMIT;
}

/* Half messages are seen by nobody until they are committed; brokers ask about those that are left open. */
static void transactions_are_asked_about(void) {
    fr_transaction_producer_t *producer;
    fr_config_t *config = fr_config_new();
    fr_transaction_t *transaction;
    fr_push_consumer_t *consumer;
    fr_delivery_t *check;
    fr_send_result_t *sent;
    fr_message_t *m;
    struct log log;
    size_t count = 0;
    char id[64];
    OK(fr_config_set(config, "sendMsgTimeout", "30000", &error));
    OK(fr_transaction_producer_start(client, "g-tx", config, &producer, &error));
    fr_config_free(config);
    m = message("Transactions", "rolled back");
    OK(fr_transaction_begin(producer, m, &transaction, &error));
    OK(fr_transaction_end(transaction, FR_ROLLBACK, &error));
    FAILS(FR_ERROR_CONFIG, fr_transaction_end(transaction, FR_COMMIT, &error));
    fr_transaction_free(transaction);
    fr_message_free(m);
    m = message("Transactions", "a");
    OK(fr_transaction_begin(producer, m, &transaction, &error));
    CHECK(fr_send_result_status(fr_transaction_half(transaction)) == FR_SEND_OK);
    FAILS(FR_ERROR_CONFIG, fr_transaction_end(transaction, FR_SUCCESS, &error));
    strcpy(id, fr_transaction_id(transaction));
    OK(fr_transaction_end(transaction, FR_LATER, &error));
    fr_transaction_free(transaction);
    fr_message_free(m);
    while (count == 0) {
        OK(fr_testing_broker_advance(broker, 10000, &error));
        OK(fr_transaction_producer_poll(producer, &check, 1, 200, &count, &error));
        if (count == 1 && has_body(first(check), "rolled back")) {
            OK(fr_delivery_answer(check, FR_ROLLBACK, 0, &error));
            count = 0;
        }
    }
    CHECK(fr_transaction_producer_fd(producer) >= 0);
    CHECK(has_body(first(check), "a"));
    SAME(fr_message_ext_transaction_id(first(check)), id);
    OK(fr_delivery_answer(check, FR_COMMIT, 0, &error));
    consumer = push(client, "g-tx-consumer", "Transactions", FR_CONCURRENTLY);
    check = next(consumer);
    CHECK(has_body(first(check), "a"));
    OK(fr_delivery_answer(check, FR_SUCCESS, 0, &error));

    log_begin(&log, 0);
    OK(fr_transaction_producer_handle(producer, 1, settle, &log, &error));
    m = message("Transactions", "b");
    OK(fr_transaction_begin(producer, m, &transaction, &error));
    fr_transaction_free(transaction);
    check = next(consumer);
    /* Asked twice before it had heard of the answer, the broker stores twice. */
    while (has_body(first(check), "a")) {
        OK(fr_delivery_answer(check, FR_SUCCESS, 0, &error));
        check = next(consumer);
    }
    CHECK(has_body(first(check), "b"));
    OK(fr_delivery_answer(check, FR_SUCCESS, 0, &error));
    SAME(log.bodies[0], "b");
    OK(fr_producer_send(fr_transaction_producer_producer(producer), m, &sent, &error));
    fr_send_result_free(sent);
    fr_message_free(m);
    fr_push_consumer_free(consumer);
    OK(fr_transaction_producer_close(producer, &error));
    fr_transaction_producer_free(producer);
}

static int32_t reply(const fr_delivery_t *request, void *user) {
    fr_producer_t *producer = user;
    fr_message_t *answer;
    fr_send_result_t *sent;
    if (fr_message_ext_reply(fr_messages_at(fr_delivery_messages(request), 0), "pong", 4, &answer, NULL) != FR_OK) {
        return FR_LATER;
    }
    /* The broker may not have heard of the asker yet. */
    while (fr_producer_send(producer, answer, &sent, NULL) != FR_OK) {
    }
    fr_send_result_free(sent);
    fr_message_free(answer);
    return FR_SUCCESS;
}

/* A request is answered by its consumer. */
static void requests_are_answered(void) {
    fr_producer_t *asking = producer_of("p-asking"), *answering = producer_of("p-answering");
    fr_push_consumer_t *consumer;
    fr_message_t *m = message("Requests", "ping");
    fr_message_ext_t *answer;
    consumer = push(client, "g-requests", "Requests", FR_CONCURRENTLY);
    OK(fr_push_consumer_handle(consumer, 1, reply, answering, &error));
    OK(fr_producer_request(asking, m, LONG, &answer, &error));
    CHECK(has_body(answer, "pong"));
    fr_message_ext_free(answer);
    fr_message_free(m);
    fr_push_consumer_free(consumer);
    fr_producer_free(asking);
    fr_producer_free(answering);
}

/* A lite pull consumer goes where it is told, and its offsets are kept. */
static void lite_pulls_are_steered(void) {
    fr_producer_t *producer = producer_of("p-lite");
    fr_config_t *config = consuming("Lite", "*", FR_TAG);
    fr_lite_pull_consumer_t *consumer, *assigned;
    fr_messages_t *messages;
    fr_queues_t *queues;
    const fr_queue_t *queue;
    int64_t offset = 0;
    send_text(producer, "Lite", "0", NULL);
    send_text(producer, "Lite", "1", NULL);
    OK(fr_config_set(config, "autoCommit", "false", &error));
    OK(fr_config_set(config, "pullBatchSize", "1", &error));
    OK(fr_lite_pull_consumer_start(client, "g-lite", config, &consumer, &error));
    OK(fr_lite_pull_consumer_poll(consumer, LONG, &messages, &error));
    CHECK(fr_messages_count(messages) == 1 && has_body(fr_messages_at(messages, 0), "0"));
    CHECK(fr_messages_at(messages, 1) == NULL);
    fr_messages_free(messages);
    OK(fr_lite_pull_consumer_assignment(consumer, &queues, &error));
    CHECK(fr_queues_count(queues) == 1);
    queue = fr_queues_at(queues, 0);
    OK(fr_lite_pull_consumer_committed(consumer, queue, &offset, &error));
    CHECK(offset < 1);
    OK(fr_lite_pull_consumer_commit(consumer, &error));
    OK(fr_lite_pull_consumer_committed(consumer, queue, &offset, &error));
    CHECK(offset == 1);
    OK(fr_lite_pull_consumer_commit_offset(consumer, queue, 0, &error));
    OK(fr_lite_pull_consumer_committed(consumer, queue, &offset, &error));
    CHECK(offset == 0);
    FAILS(FR_ERROR_CONFIG, fr_lite_pull_consumer_seek(consumer, queue, 99, &error));
    FAILS(FR_ERROR_CONFIG, fr_lite_pull_consumer_commit_offset(consumer, queue, -1, &error));
    OK(fr_lite_pull_consumer_seek(consumer, queue, 1, &error));
    OK(fr_lite_pull_consumer_poll(consumer, LONG, &messages, &error));
    CHECK(has_body(fr_messages_at(messages, 0), "1"));
    fr_messages_free(messages);
    OK(fr_lite_pull_consumer_seek_to_begin(consumer, queue, &error));
    OK(fr_lite_pull_consumer_poll(consumer, LONG, &messages, &error));
    CHECK(has_body(fr_messages_at(messages, 0), "0"));
    fr_messages_free(messages);
    OK(fr_lite_pull_consumer_pause(consumer, &queue, 1, &error));
    OK(fr_lite_pull_consumer_poll(consumer, 50, &messages, &error));
    CHECK(messages != NULL && fr_messages_count(messages) == 0);
    fr_messages_free(messages);
    OK(fr_lite_pull_consumer_resume(consumer, &queue, 1, &error));
    OK(fr_lite_pull_consumer_seek_to_time(consumer, queue, 1, &error));
    OK(fr_lite_pull_consumer_seek_to_end(consumer, queue, &error));
    OK(fr_lite_pull_consumer_offset_for_timestamp(consumer, queue, 1, &offset, &error));
    CHECK(offset == 0);
    FAILS(FR_ERROR_CONFIG, fr_lite_pull_consumer_assign(consumer, &queue, 1, &error));
    OK(fr_lite_pull_consumer_subscribe(consumer, "LiteToo", "*", FR_TAG, &error));
    OK(fr_lite_pull_consumer_unsubscribe(consumer, "LiteToo", &error));
    fr_queues_free(queues);
    OK(fr_lite_pull_consumer_close(consumer, &error));
    FAILS(FR_ERROR_CLOSED, fr_lite_pull_consumer_poll(consumer, LONG, &messages, &error));
    fr_lite_pull_consumer_free(consumer);

    fr_config_free(config);
    config = fr_config_new();
    OK(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", &error));
    OK(fr_lite_pull_consumer_start(client, "g-assigned", config, &assigned, &error));
    OK(fr_lite_pull_consumer_fetch_queues(assigned, "Lite", &queues, &error));
    queue = fr_queues_at(queues, 0);
    OK(fr_lite_pull_consumer_assign(assigned, &queue, 1, &error));
    OK(fr_lite_pull_consumer_poll(assigned, LONG, &messages, &error));
    CHECK(fr_messages_count(messages) >= 1);
    fr_messages_free(messages);
    fr_queues_free(queues);
    fr_lite_pull_consumer_free(assigned);
    fr_config_free(config);
    fr_producer_free(producer);
}

static int is_in(const fr_names_t *names, const char *name) {
    size_t at;
    for (at = 0; at < fr_names_count(names); at++) {
        if (strcmp(fr_names_at(names, at), name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Topics, groups, offsets and messages can be looked at and changed. */
static void clusters_are_administered(void) {
    fr_producer_t *producer = producer_of("p-admin");
    fr_names_t *names;
    fr_offsets_t *offsets;
    fr_queues_t *queues;
    fr_messages_t *found;
    fr_message_ext_t *viewed;
    fr_send_result_t *sent;
    fr_push_consumer_t *consumer;
    fr_delivery_t *delivery;
    fr_message_t *m = message("Managed", "m");
    OK(fr_admin_create_topic(client, "Managed", 2, 2, 6, &error));
    OK(fr_admin_topics(client, &names, &error));
    CHECK(is_in(names, "Managed") && !is_in(names, "Unheard"));
    CHECK(fr_names_at(names, fr_names_count(names)) == NULL);
    fr_names_free(names);
    OK(fr_client_fetch_queues(client, "Managed", &queues, &error));
    CHECK(fr_queues_count(queues) == 2 && fr_queue_id(fr_queues_at(queues, 1)) == 1);
    fr_queues_free(queues);
    OK(fr_message_add_key(m, "k-1", &error));
    OK(fr_producer_send(producer, m, &sent, &error));
    OK(fr_admin_view_message(client, "Managed", fr_send_result_offset_msg_id(sent), &viewed, &error));
    CHECK(has_body(viewed, "m"));
    fr_message_ext_free(viewed);
    OK(fr_admin_query_message(client, "Managed", "k-1", 8, 0, INT64_MAX / 2, &found, &error));
    CHECK(fr_messages_count(found) == 1);
    fr_messages_free(found);
    OK(fr_admin_query_message_by_id(client, "Managed", fr_send_result_msg_id(sent), &found, &error));
    CHECK(fr_messages_count(found) == 1);
    fr_messages_free(found);
    OK(fr_admin_query_message_by_id(client, "Managed", "0123456789", &found, &error));
    CHECK(found != NULL && fr_messages_count(found) == 0);
    fr_messages_free(found);
    OK(fr_admin_topic_stats(client, "Managed", &offsets, &error));
    CHECK(fr_offsets_count(offsets) == 2);
    CHECK(fr_offsets_second(offsets, 0) + fr_offsets_second(offsets, 1) == 1 && fr_offsets_first(offsets, 0) == 0);
    CHECK(fr_offsets_queue(offsets, 2) == NULL && fr_offsets_first(offsets, 2) == -1);
    SAME(fr_queue_topic(fr_offsets_queue(offsets, 0)), "Managed");
    fr_offsets_free(offsets);
    OK(fr_admin_create_group(client, "g-admin", 3, &error));
    consumer = push(client, "g-admin", "Managed", FR_CONCURRENTLY);
    delivery = next(consumer);
    OK(fr_delivery_answer(delivery, FR_SUCCESS, 0, &error));
    OK(fr_admin_consumers(client, "g-admin", "Managed", &names, &error));
    CHECK(is_in(names, fr_client_id(client)));
    fr_names_free(names);
    fr_push_consumer_free(consumer);
    OK(fr_admin_consume_stats(client, "g-admin", "Managed", &offsets, &error));
    CHECK(fr_offsets_first(offsets, 0) + fr_offsets_first(offsets, 1) == 1);
    fr_offsets_free(offsets);
    OK(fr_admin_reset_offset(client, "g-admin", "Managed", 1, &offsets, &error));
    CHECK(fr_offsets_count(offsets) == 2 && fr_offsets_first(offsets, 0) == 0);
    fr_offsets_free(offsets);
    OK(fr_admin_brokers(client, &names, &error));
    CHECK(fr_names_count(names) == 1 && strstr(fr_names_at(names, 0), " 0 127.0.0.1:") != NULL);
    fr_names_free(names);
    OK(fr_admin_topic_route(client, "Managed", &names, &error));
    CHECK(fr_names_count(names) == 1 && strstr(fr_names_at(names, 0), " 2 2 6") != NULL);
    fr_names_free(names);
    OK(fr_admin_delete_group(client, "g-admin", &error));
    OK(fr_admin_delete_topic(client, "Managed", &error));
    FAILS(FR_ERROR_NO_ROUTE, fr_admin_topic_route(client, "Managed", &names, &error));
    FAILS(FR_ERROR_CONFIG, fr_admin_view_message(client, "Managed", "no id", &viewed, &error));
    fr_send_result_free(sent);
    fr_message_free(m);
    fr_producer_free(producer);
}

/* Events tell of connections and of the division of queues, and end with their client. */
static void events_are_watched(void) {
    fr_client_t *other = another_client();
    fr_events_t *events;
    fr_event_t *batch[4];
    fr_push_consumer_t *consumer;
    fr_producer_t *producer = producer_of("p-events");
    struct pollfd fd;
    size_t count, at;
    int connected = 0, divided = 0;
    fr_status_t status;
    send_text(producer, "Watched", "w", NULL);
    OK(fr_client_events(other, &events, &error));
    consumer = push(other, "g-events", "Watched", FR_CONCURRENTLY);
    fd.fd = fr_events_fd(events);
    fd.events = POLLIN;
    while (!connected || !divided) {
        CHECK(poll(&fd, 1, LONG) == 1);
        OK(fr_events_poll(events, batch, 4, 0, &count, &error));
        for (at = 0; at < count; at++) {
            if (fr_event_kind(batch[at]) == FR_EVENT_CONNECTED) {
                connected = strstr(fr_event_addr(batch[at]), "127.0.0.1:") != NULL;
                CHECK(fr_event_group(batch[at]) == NULL && fr_event_msg_id(batch[at]) == NULL);
                CHECK(fr_event_number(batch[at]) == 0);
            }
            if (fr_event_kind(batch[at]) == FR_EVENT_REBALANCED && strcmp(fr_event_topic(batch[at]), "Watched") == 0) {
                SAME(fr_event_group(batch[at]), "g-events");
                divided = fr_queues_count(fr_event_queues(batch[at])) == 1;
            }
            fr_event_free(batch[at]);
        }
    }
    fr_push_consumer_free(consumer);
    fr_client_free(other);
    do {
        status = fr_events_poll(events, batch, 4, LONG, &count, &error);
        for (at = 0; at < count; at++) {
            fr_event_free(batch[at]);
        }
    } while (status == FR_OK);
    fr_error_free(error);
    FAILS(FR_ERROR_CLOSED, fr_events_poll(events, batch, 4, LONG, &count, &error));
    fr_events_free(events);
    fr_producer_free(producer);
}

static void count_line(int32_t level, const char *target, const char *text, void *user) {
    struct log *log = user;
    CHECK(level >= 1 && level <= 5 && strlen(target) > 0 && strlen(text) > 0);
    pthread_mutex_lock(&log->lock);
    log->count++;
    pthread_cond_broadcast(&log->more);
    pthread_mutex_unlock(&log->lock);
}

/* Log lines go to the program until it wants no more. */
static void log_lines_are_heard(void) {
    fr_client_t *other;
    fr_push_consumer_t *consumer;
    struct log log;
    size_t count;
    log_begin(&log, 0);
    OK(fr_log_handle(5, count_line, &log, &error));
    other = another_client();
    consumer = push(other, "g-log", "Logged", FR_CONCURRENTLY);
    log_wait(&log, 1);
    OK(fr_log_handle(0, NULL, NULL, &error));
    count = log.count;
    fr_push_consumer_free(consumer);
    fr_client_free(other);
    CHECK(log.count == count);
    FAILS(FR_ERROR_CONFIG, fr_log_handle(6, count_line, &log, &error));
}

/* Sends until that fails. */
static void *send_on(void *user) {
    fr_producer_t *producer = user;
    fr_message_t *m;
    CHECK(fr_message_new("Gone", "g", 1, &m, NULL) == FR_OK);
    while (fr_producer_send_oneway(producer, m, NULL) == FR_OK) {
    }
    fr_message_free(m);
    return NULL;
}

/* Who sends to a broker that goes away gets errors and no SIGPIPE, which ends programs that do not care for it. */
static void brokers_go_away(void) {
    fr_testing_broker_t *kept = broker;
    fr_client_t *other;
    fr_producer_t *producer;
    fr_config_t *config, *setup = fr_config_new();
    pthread_t sending[SENDING];
    int times, at;
    signal(SIGPIPE, SIG_DFL);
    /* As in another_client. */
    OK(fr_config_set(setup, "sendMsgTimeout", "30000", &error));
    for (times = 0; times < 2 * GOING; times++) {
        config = fr_config_new();
        OK(fr_testing_broker_start(NULL, &broker, &error));
        OK(fr_config_set(config, "namesrvAddr", fr_testing_broker_namesrv_addr(broker), &error));
        OK(fr_config_set(config, "mqClientApiTimeout", "30000", &error));
        OK(fr_config_set(config, "useTLS", times % 2 == 0 ? "false" : "true", &error));
        OK(fr_client_new(config, &other, &error));
        OK(fr_producer_start(other, "p-gone", setup, &producer, &error));
        send_text(producer, "Gone", "g", NULL);
        for (at = 0; at < SENDING; at++) {
            CHECK(pthread_create(&sending[at], NULL, send_on, producer) == 0);
        }
        fr_testing_broker_free(broker);
        for (at = 0; at < SENDING; at++) {
            CHECK(pthread_join(sending[at], NULL) == 0);
        }
        fr_producer_free(producer);
        fr_client_free(other);
        fr_config_free(config);
    }
    fr_config_free(setup);
    broker = kept;
}

int main(int count, char **names) {
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"sends_are_receipted", sends_are_receipted},
        {"sends_that_do_not_wait", sends_that_do_not_wait},
        {"sends_have_terms", sends_have_terms},
        {"deliveries_are_taken", deliveries_are_taken},
        {"handlers_are_called", handlers_are_called},
        {"orderly_batches_are_taken", orderly_batches_are_taken},
        {"expressions_choose", expressions_choose},
        {"broadcasting_reaches_all", broadcasting_reaches_all},
        {"delayed_messages_come_later", delayed_messages_come_later},
        {"transactions_are_asked_about", transactions_are_asked_about},
        {"requests_are_answered", requests_are_answered},
        {"lite_pulls_are_steered", lite_pulls_are_steered},
        {"clusters_are_administered", clusters_are_administered},
        {"events_are_watched", events_are_watched},
        {"log_lines_are_heard", log_lines_are_heard},
        {"brokers_go_away", brokers_go_away},
    };
    size_t at;
    SAME(fr_version(), FR_VERSION);
    begin();
    for (at = 0; at < sizeof tests / sizeof *tests; at++) {
        if (count == 1 || strcmp(names[1], tests[at].name) == 0) {
            int before = failures;
            tests[at].run();
            printf("%s: %s\n", tests[at].name, failures == before ? "ok" : "FAILED");
            fflush(stdout);
        }
    }
    return end();
}
