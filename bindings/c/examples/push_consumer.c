/* Consumes with a handler, which several threads of the library call. */
/* ANCHOR: program */
#include <pthread.h>

#include "example.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static int consumed = 0;

/* ANCHOR: handler */
static int32_t consume(const fr_delivery_t *delivery, void *user) {
    const fr_message_ext_t *message = fr_messages_at(fr_delivery_messages(delivery), 0);
    size_t len;
    const char *body = fr_message_ext_body(message, &len);
    (void)user;
    pthread_mutex_lock(&lock);
    printf("%s: %.*s\n", fr_message_ext_msg_id(message), (int)len, body);
    consumed++;
    pthread_cond_signal(&more);
    pthread_mutex_unlock(&lock);
    return FR_SUCCESS; /* FR_LATER, and the message comes again. */
}
/* ANCHOR_END: handler */

int main(void) {
    fr_client_t *client;
    fr_producer_t *producer;
    fr_push_consumer_t *consumer;
    fr_config_t *config = fr_config_new();
    fr_message_t *message;
    fr_send_result_t *sent;
    int number;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_producer_start(client, "order-service", NULL, &producer, &error));
    TRY(fr_message_new("Paid", "42 EUR", 6, &message, &error));
    for (number = 0; number < 10; number++) {
        TRY(fr_producer_send(producer, message, &sent, &error));
        fr_send_result_free(sent);
    }

    TRY(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", &error));
    TRY(fr_config_subscribe(config, "Paid", "*", FR_TAG, &error));
    TRY(fr_push_consumer_start(client, "billing", config, FR_CONCURRENTLY, &consumer, &error));
    TRY(fr_push_consumer_handle(consumer, 4, consume, NULL, &error));
    pthread_mutex_lock(&lock);
    while (consumed < 10) {
        pthread_cond_wait(&more, &lock);
    }
    pthread_mutex_unlock(&lock);

    /* Waits for running handlers and stores what was consumed. */
    fr_push_consumer_free(consumer);
    fr_message_free(message);
    fr_producer_free(producer);
    fr_client_free(client);
    fr_config_free(config);
    return 0;
}
/* ANCHOR_END: program */
