/* Messages with the same key go to the same queue and keep their order; an orderly consumer sees it. */
#include "example.h"

int main(void) {
    static const char *const steps[] = {"created", "paid", "sent"};
    fr_client_t *client;
    fr_producer_t *producer;
    fr_push_consumer_t *consumer;
    fr_config_t *config = fr_config_new();
    fr_delivery_t *delivery;
    fr_send_result_t *sent;
    int step, seen = 0;
    size_t count;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_producer_start(client, "order-service", NULL, &producer, &error));
    for (step = 0; step < 3; step++) {
        fr_message_t *message;
        TRY(fr_message_new("Steps", steps[step], strlen(steps[step]), &message, &error));
        TRY(fr_producer_send_ordered(producer, message, "order-7", &sent, &error));
        fr_send_result_free(sent);
        fr_message_free(message);
    }

    TRY(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", &error));
    TRY(fr_config_subscribe(config, "Steps", "*", FR_TAG, &error));
    TRY(fr_push_consumer_start(client, "tracking", config, FR_ORDERLY, &consumer, &error));
    while (seen < 3) {
        TRY(fr_push_consumer_poll(consumer, &delivery, 1, 1000, &count, &error));
        if (count == 1) {
            const fr_message_ext_t *message = fr_messages_at(fr_delivery_messages(delivery), 0);
            size_t len;
            const char *body = fr_message_ext_body(message, &len);
            printf("%.*s\n", (int)len, body);
            seen++;
            /* The next message of the queue comes after this one was answered. */
            TRY(fr_delivery_answer(delivery, FR_SUCCESS, 0, &error));
        }
    }

    fr_push_consumer_free(consumer);
    fr_producer_free(producer);
    fr_client_free(client);
    fr_config_free(config);
    return 0;
}
