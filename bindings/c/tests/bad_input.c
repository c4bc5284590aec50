/* What programs get wrong: each ends in an error, and the library goes on. */
#define _POSIX_C_SOURCE 200809L

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static int32_t answer_nonsense(const fr_delivery_t *delivery, void *user) {
    /* It is the library's: nothing comes of either. */
    CHECK(fr_delivery_answer((fr_delivery_t *)delivery, FR_SUCCESS, 0, NULL) == FR_ERROR_CONFIG);
    fr_delivery_free((fr_delivery_t *)delivery);
    CHECK(fr_messages_count(fr_delivery_messages(delivery)) == 1);
    ++*(volatile int *)user;
    return 4711;
}

/* NULL in every place where something is needed. */
static void null_is_an_error(fr_producer_t *producer) {
    fr_message_t *m;
    fr_send_result_t *sent = (fr_send_result_t *)&m;
    fr_queue_t *queue;
    fr_queues_t *queues;
    fr_client_t *made;
    fr_config_t *config = fr_config_new();
    fr_send_terms_t *terms = fr_send_terms_new();
    fr_push_consumer_t *consumer;
    fr_lite_pull_consumer_t *lite;
    fr_delivery_t *deliveries[1];
    size_t count;
    OK(fr_message_new("T", NULL, 0, &m, &error));
    fr_message_free(m);
    FAILS(FR_ERROR_CONFIG, fr_message_new(NULL, "x", 1, &m, &error));
    CHECK(m == NULL);
    FAILS(FR_ERROR_CONFIG, fr_message_new("T", NULL, 1, &m, &error));
    FAILS(FR_ERROR_CONFIG, fr_message_new("T", "x", 1, NULL, &error));
    CHECK(fr_message_new("T", "x", 1, NULL, NULL) == FR_ERROR_CONFIG);
    OK(fr_message_new("T", "x", 1, &m, &error));
    FAILS(FR_ERROR_CONFIG, fr_message_set_tags(NULL, "t", &error));
    FAILS(FR_ERROR_CONFIG, fr_message_set_tags(m, NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_message_set_property(m, "n", NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send(NULL, m, &sent, &error));
    CHECK(sent == NULL);
    FAILS(FR_ERROR_CONFIG, fr_producer_send(producer, NULL, &sent, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send(producer, m, NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send_to(producer, m, NULL, &sent, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send_ordered(producer, m, NULL, &sent, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send_batch(producer, NULL, 3, &sent, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send_async(producer, NULL, NULL, NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send_async_with(producer, NULL, terms, NULL, NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send_batch_async_with(producer, NULL, 3, terms, NULL, NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_send_terms_set_queue(terms, NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_send_terms_set_ordered_by(terms, NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_send_terms_set_timeout(NULL, 1, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_poll(producer, NULL, 3, 0, &count, &error));
    FAILS(FR_ERROR_CONFIG, fr_queue_new("T", NULL, 0, &queue, &error));
    FAILS(FR_ERROR_CONFIG, fr_config_set(config, NULL, "x", &error));
    FAILS(FR_ERROR_CONFIG, fr_config_set(NULL, "x", "x", &error));
    FAILS(FR_ERROR_CONFIG, fr_config_subscribe(config, "T", NULL, FR_TAG, &error));
    FAILS(FR_ERROR_CONFIG, fr_client_new(config, NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_client_fetch_queues(client, NULL, &queues, &error));
    FAILS(FR_ERROR_CONFIG, fr_client_close(NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_start(client, "g", NULL, FR_CONCURRENTLY, &consumer, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_poll(NULL, deliveries, 1, 0, &count, &error));
    FAILS(FR_ERROR_CONFIG, fr_lite_pull_consumer_start(NULL, "g", NULL, &lite, &error));
    FAILS(FR_ERROR_CONFIG, fr_delivery_answer(NULL, FR_SUCCESS, 0, &error));
    CHECK(fr_client_new(NULL, &made, NULL) != FR_OK || made != NULL);
    fr_client_free(made);
    OK(fr_deliveries_ack(NULL, 0, &error));
    deliveries[0] = NULL;
    OK(fr_deliveries_ack((fr_delivery_t *const *)deliveries, 1, &error));
    CHECK(fr_error_message(NULL) == NULL && fr_error_code(NULL) == -1 && fr_error_remark(NULL) == NULL);
    CHECK(fr_error_addr(NULL) == NULL && !fr_error_is_retryable(NULL));
    CHECK(fr_message_ext_topic(NULL) == NULL && fr_message_ext_body(NULL, NULL) == NULL);
    CHECK(fr_messages_count(NULL) == 0 && fr_messages_at(NULL, 0) == NULL);
    CHECK(fr_queue_topic(NULL) == NULL && fr_queue_id(NULL) == -1 && fr_queues_at(NULL, 0) == NULL);
    CHECK(fr_send_result_msg_id(NULL) == NULL && fr_send_result_queue(NULL) == NULL);
    CHECK(fr_push_consumer_fd(NULL) == -1 && fr_producer_fd(NULL) == -1 && fr_events_fd(NULL) == -1);
    CHECK(fr_delivery_messages(NULL) == NULL && fr_completion_user(NULL) == NULL);
    CHECK(fr_client_id(NULL) == NULL && fr_testing_broker_namesrv_addr(NULL) == NULL);
    CHECK(fr_event_kind(NULL) == FR_EVENT_OTHER && fr_transaction_id(NULL) == NULL);
    SAME(fr_status_name(FR_ERROR_FLOW_CONTROL), "FlowControl");
    SAME(fr_status_name(-5), "Unknown");
    fr_client_free(NULL);
    fr_completion_free(NULL);
    fr_config_free(NULL);
    fr_delivery_free(NULL);
    fr_error_free(NULL);
    fr_event_free(NULL);
    fr_events_free(NULL);
    fr_lite_pull_consumer_free(NULL);
    fr_message_free(NULL);
    fr_message_ext_free(NULL);
    fr_messages_free(NULL);
    fr_names_free(NULL);
    fr_offsets_free(NULL);
    fr_producer_free(NULL);
    fr_push_consumer_free(NULL);
    fr_queue_free(NULL);
    fr_queues_free(NULL);
    fr_send_result_free(NULL);
    fr_send_terms_free(NULL);
    fr_testing_broker_free(NULL);
    fr_transaction_free(NULL);
    fr_transaction_producer_free(NULL);
    fr_config_free(config);
    fr_send_terms_free(terms);
    fr_message_free(m);
}

/* A handle of another kind, as it comes through void pointers and other languages. */
static void other_handles_are_errors(fr_producer_t *producer) {
    void *handle = producer, *config = fr_config_new();
    fr_send_result_t *sent;
    fr_message_t *m;
    size_t count;
    fr_delivery_t *deliveries[1];
    OK(fr_message_new("T", "x", 1, &m, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send(config, m, &sent, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send(producer, config, &sent, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send_with(producer, m, config, &sent, &error));
    FAILS(FR_ERROR_CONFIG, fr_producer_send(producer, (const fr_message_t *)((const char *)m + 1), &sent, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_poll(handle, deliveries, 1, 0, &count, &error));
    FAILS(FR_ERROR_CONFIG, fr_delivery_answer(handle, FR_SUCCESS, 0, &error));
    FAILS(FR_ERROR_CONFIG, fr_config_set(handle, "a", "b", &error));
    deliveries[0] = handle;
    FAILS(FR_ERROR_CONFIG, fr_deliveries_ack((fr_delivery_t *const *)deliveries, 1, &error));
    CHECK(fr_message_ext_topic(handle) == NULL && fr_messages_count(handle) == 0);
    /* Nothing is freed that is something else. */
    fr_message_free(handle);
    fr_client_free(handle);
    OK(fr_producer_send(producer, m, &sent, &error));
    /* Nor a part of something. */
    fr_queue_free((fr_queue_t *)fr_send_result_queue(sent));
    SAME(fr_queue_topic(fr_send_result_queue(sent)), "T");
    fr_send_result_free(sent);
    fr_message_free(m);
    fr_config_free(config);
}

/* Bytes that are no text, sizes that no memory has, numbers that mean nothing. */
static void nonsense_is_an_error(fr_producer_t *producer) {
    const char *bytes = "caf\xe9";
    char *large = calloc(1, 5 << 20);
    volatile int calls = 0;
    fr_config_t *config = fr_config_new();
    fr_message_t *m;
    const fr_message_t *batch[1];
    fr_send_result_t *sent;
    fr_push_consumer_t *consumer;
    fr_delivery_t *deliveries[1];
    fr_messages_t *found;
    fr_names_t *names;
    fr_testing_broker_t *no_broker;
    size_t count;
    FAILS(FR_ERROR_CONFIG, fr_message_new(bytes, "x", 1, &m, &error));
    FAILS(FR_ERROR_CONFIG, fr_message_new("T", "x", SIZE_MAX, &m, &error));
    FAILS(FR_ERROR_CONFIG, fr_message_new("T", "x", (size_t)1 << 63, &m, &error));
    FAILS(FR_ERROR_CONFIG, fr_config_set(config, "namesrvAddr", bytes, &error));
    FAILS(FR_ERROR_CONFIG, fr_config_subscribe(config, "T", "*", 2, &error));
    FAILS(FR_ERROR_CONFIG, fr_admin_create_topic(client, bytes, 1, 1, 6, &error));
    FAILS(FR_ERROR_CONFIG, fr_admin_create_topic(client, "no topic", 1, 1, 6, &error));
    OK(fr_message_new("T", large, 5 << 20, &m, &error));
    FAILS(FR_ERROR_INVALID_MESSAGE, fr_producer_send(producer, m, &sent, &error));
    batch[0] = m;
    FAILS(FR_ERROR_CONFIG, fr_producer_send_batch(producer, batch, SIZE_MAX, &sent, &error));
    fr_message_free(m);
    OK(fr_message_new("", "x", 1, &m, &error));
    FAILS(fr_producer_send(producer, m, &sent, NULL), fr_producer_send(producer, m, &sent, &error));
    fr_message_free(m);
    OK(fr_config_subscribe(config, "T", "*", FR_TAG, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_start(client, "g", config, 2, &consumer, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_start(client, "no group", config, FR_CONCURRENTLY, &consumer, &error));
    FAILS(FR_ERROR_CONFIG, fr_testing_broker_start(config, &no_broker, &error));
    OK(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", &error));
    OK(fr_push_consumer_start(client, "g", config, FR_CONCURRENTLY, &consumer, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_poll(consumer, deliveries, 0, 0, &count, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_poll(consumer, deliveries, SIZE_MAX, 0, &count, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_handle(consumer, 0, answer_nonsense, NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_handle(consumer, 1 << 30, answer_nonsense, NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_handle(consumer, 1, NULL, NULL, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_subscribe(consumer, "T", "*", -1, &error));
    /* The answer that there is not is later, in either way. */
    count = 0;
    while (count == 0) {
        OK(fr_push_consumer_poll(consumer, deliveries, 1, LONG, &count, &error));
    }
    FAILS(FR_ERROR_CONFIG, fr_delivery_answer(deliveries[0], 4711, 0, &error));
    OK(fr_push_consumer_handle(consumer, 1, answer_nonsense, (void *)&calls, &error));
    FAILS(FR_ERROR_CONFIG, fr_push_consumer_handle(consumer, SIZE_MAX, answer_nonsense, (void *)&calls, &error));
    while (calls < 2) {
        OK(fr_testing_broker_advance(broker, 60000, &error));
    }
    FAILS(FR_ERROR_CONFIG, fr_admin_query_message(client, "T", "k", 1, -1, 1, &found, &error));
    FAILS(FR_ERROR_NO_ROUTE, fr_admin_topic_route(client, "Unheard", &names, &error));
    CHECK(found == NULL && names == NULL);
    fr_push_consumer_free(consumer);
    fr_config_free(config);
    free(large);
}

/* A setting that there is not, one of something else, or a value that it cannot have: all are named. */
static void settings_are_checked(void) {
    fr_config_t *config = fr_config_new();
    fr_client_t *made;
    fr_producer_t *producer;
    OK(fr_config_set(config, "nameserverAddr", "127.0.0.1:1", &error));
    CHECK(fr_client_new(config, &made, &error) == FR_ERROR_CONFIG && made == NULL);
    CHECK(strstr(fr_error_message(error), "namesrvAddr") != NULL);
    fr_error_free(error);
    fr_config_free(config);
    config = fr_config_new();
    OK(fr_config_set(config, "sendMsgTimeout", "soon", &error));
    CHECK(fr_producer_start(client, "p", config, &producer, &error) == FR_ERROR_CONFIG && producer == NULL);
    CHECK(strstr(fr_error_message(error), "sendMsgTimeout") != NULL);
    fr_error_free(error);
    error = NULL;
    fr_config_free(config);
}

static int32_t free_myself(const fr_delivery_t *delivery, void *user) {
    fr_push_consumer_t **mine = user;
    fr_push_consumer_t *consumer = *mine;
    fr_error_t *why = NULL;
    (void)delivery;
    CHECK(fr_push_consumer_close(consumer, &why) == FR_ERROR_CONFIG);
    fr_error_free(why);
    CHECK(fr_client_close(client, NULL) == FR_ERROR_CONFIG && fr_stop(0, NULL) == FR_ERROR_CONFIG);
    fr_push_consumer_free(consumer);
    *(fr_push_consumer_t *volatile *)mine = NULL;
    return FR_SUCCESS;
}

/* A callback that ends what it is called by neither waits for itself nor breaks anything. */
static void callbacks_cannot_wait_for_themselves(fr_producer_t *producer) {
    fr_push_consumer_t *consumer, *volatile *place = (fr_push_consumer_t *volatile *)&consumer;
    fr_config_t *config = fr_config_new();
    fr_message_t *m;
    fr_send_result_t *sent;
    OK(fr_message_new("Suicide", "x", 1, &m, &error));
    OK(fr_producer_send(producer, m, &sent, &error));
    OK(fr_config_subscribe(config, "Suicide", "*", FR_TAG, &error));
    OK(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", &error));
    OK(fr_push_consumer_start(client, "g-suicide", config, FR_CONCURRENTLY, &consumer, &error));
    OK(fr_push_consumer_handle(consumer, 1, free_myself, &consumer, &error));
    while (*place != NULL) {
    }
    fr_send_result_free(sent);
    fr_message_free(m);
    fr_config_free(config);
}

/* After the end of a client everything that uses it says so, and can still be freed. */
static void closed_handles_say_so(void) {
    fr_client_t *other = another_client();
    fr_producer_t *producer;
    fr_transaction_producer_t *transactions;
    fr_transaction_t *transaction;
    fr_push_consumer_t *consumer;
    fr_config_t *config = fr_config_new();
    fr_message_t *m;
    fr_send_result_t *sent;
    fr_queues_t *queues;
    OK(fr_message_new("Closed", "x", 1, &m, &error));
    OK(fr_config_subscribe(config, "Closed", "*", FR_TAG, &error));
    OK(fr_producer_start(other, "p", NULL, &producer, &error));
    OK(fr_transaction_producer_start(other, "t", NULL, &transactions, &error));
    OK(fr_push_consumer_start(other, "g-closed", config, FR_CONCURRENTLY, &consumer, &error));
    OK(fr_producer_send(producer, m, &sent, &error));
    fr_send_result_free(sent);
    OK(fr_client_close(other, &error));
    OK(fr_client_close(other, &error));
    FAILS(FR_ERROR_CLOSED, fr_producer_send(producer, m, &sent, &error));
    FAILS(FR_ERROR_CLOSED, fr_producer_send_oneway(producer, m, &error));
    FAILS(FR_ERROR_CLOSED, fr_transaction_begin(transactions, m, &transaction, &error));
    FAILS(FR_ERROR_CLOSED, fr_client_fetch_queues(other, "Closed", &queues, &error));
    fr_client_free(other);
    FAILS(FR_ERROR_CLOSED, fr_producer_send(producer, m, &sent, &error));
    fr_producer_free(producer);
    fr_transaction_producer_free(transactions);
    fr_push_consumer_free(consumer);
    fr_config_free(config);
    fr_message_free(m);
}

/* A child of fork() is refused everything, and ends; its parent goes on. */
static void forked_children_are_refused(fr_producer_t *producer) {
    fr_push_consumer_t *consumer;
    fr_transaction_producer_t *transactions;
    fr_transaction_t *transaction;
    fr_config_t *config = fr_config_new();
    fr_message_t *m;
    fr_send_result_t *sent;
    fr_client_t *made;
    fr_delivery_t *deliveries[2], *none[1];
    fr_completion_t *done[1];
    size_t count, taken;
    pid_t child;
    int status = -1;
    volatile int calls = 0;
    OK(fr_message_new("Forked", "x", 1, &m, &error));
    for (count = 0; count < 2; count++) {
        OK(fr_producer_send(producer, m, &sent, &error));
        fr_send_result_free(sent);
    }
    OK(fr_config_subscribe(config, "Forked", "*", FR_TAG, &error));
    OK(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", &error));
    OK(fr_push_consumer_start(client, "g-forked", config, FR_CONCURRENTLY, &consumer, &error));
    for (taken = 0; taken < 2; taken += count) {
        OK(fr_push_consumer_poll(consumer, deliveries + taken, 2 - taken, LONG, &count, &error));
    }
    OK(fr_push_consumer_handle(consumer, 1, answer_nonsense, (void *)&calls, &error));
    OK(fr_transaction_producer_start(client, "t-forked", NULL, &transactions, &error));
    OK(fr_transaction_begin(transactions, m, &transaction, &error));
    child = fork();
    if (child == 0) {
        failures = 0;
        /* Ends the child if something waits for a thread that is not there. */
        alarm(20);
        FAILS(FR_ERROR_CLOSED, fr_producer_send(producer, m, &sent, &error));
        FAILS(FR_ERROR_CLOSED, fr_producer_poll(producer, done, 1, 0, &count, &error));
        FAILS(FR_ERROR_CLOSED, fr_producer_close(producer, &error));
        FAILS(FR_ERROR_CLOSED, fr_push_consumer_poll(consumer, none, 1, 0, &count, &error));
        FAILS(FR_ERROR_CLOSED, fr_push_consumer_close(consumer, &error));
        FAILS(FR_ERROR_CLOSED, fr_transaction_producer_poll(transactions, none, 1, 0, &count, &error));
        FAILS(FR_ERROR_CLOSED,
              fr_transaction_producer_handle(transactions, 1, answer_nonsense, (void *)&calls, &error));
        FAILS(FR_ERROR_CLOSED, fr_transaction_end(transaction, FR_COMMIT, &error));
        FAILS(FR_ERROR_CLOSED, fr_delivery_answer(deliveries[0], FR_SUCCESS, 0, &error));
        fr_delivery_free(deliveries[1]);
        FAILS(FR_ERROR_CLOSED, fr_client_close(client, &error));
        FAILS(FR_ERROR_CLOSED, fr_client_new(NULL, &made, &error));
        FAILS(FR_ERROR_CLOSED, fr_log_handle(0, NULL, NULL, &error));
        FAILS(FR_ERROR_CLOSED, fr_stop(0, &error));
        fr_push_consumer_free(consumer);
        fr_producer_free(producer);
        fr_client_free(client);
        fr_testing_broker_free(broker);
        /* Not by exit: who looks for leaks there would find what the threads of the parent had. */
        kill(getpid(), failures == 0 ? SIGKILL : SIGABRT);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    OK(fr_producer_send(producer, m, &sent, &error));
    OK(fr_transaction_end(transaction, FR_COMMIT, &error));
    OK(fr_deliveries_ack(deliveries, 2, &error));
    fr_transaction_free(transaction);
    fr_transaction_producer_free(transactions);
    fr_send_result_free(sent);
    fr_message_free(m);
    fr_push_consumer_free(consumer);
    fr_config_free(config);
}

int main(void) {
    fr_producer_t *producer;
    fr_config_t *config = fr_config_new();
    begin();
    OK(fr_config_set(config, "sendMsgTimeout", "30000", &error));
    OK(fr_producer_start(client, "p-bad", config, &producer, &error));
    null_is_an_error(producer);
    other_handles_are_errors(producer);
    nonsense_is_an_error(producer);
    settings_are_checked();
    callbacks_cannot_wait_for_themselves(producer);
    closed_handles_say_so();
    forked_children_are_refused(producer);
    fr_producer_free(producer);
    fr_config_free(config);
    return end();
}
